package session

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"hash"
	"sync"
)

// An encrypted value is
//
//	0xFF 0x01 ‖ key ID (4) ‖ nonce (12) ‖ AES-256-GCM ciphertext ‖ tag (16)
//
// The key is derived from the secret and the record's ID. Each record has its
// own key, so a random nonce does not repeat in practice. The additional data
// is everything before the nonce and the name of the value's key. If a value
// is moved to another record or another key, its authentication fails.
const (
	escapeEncrypted    = 0x01
	keyIDSize          = 4
	headerSize         = 2 + keyIDSize
	nonceSize          = 12
	tagSize            = 16
	encryptionOverhead = headerSize + nonceSize + tagSize // bytes
)

var errForged = errors.New("the value fails authentication: it was changed, or belongs to another key or session")

// encryptionKey encrypts values with keys derived from one secret.
type encryptionKey struct {
	id      [keyIDSize]byte // identifies the secret
	scratch *sync.Pool      // of *scratch
}

// scratch is the working memory of one encryption or decryption.
type scratch struct {
	mac        hash.Hash // HMAC with HKDF-Extract(secret)
	info       []byte    // of HKDF-Expand
	key        [sha256.Size]byte
	additional []byte
}

const encryptionInfo = "holdfast session: encrypt"

func newEncryptionKey(secret string) encryptionKey {
	// The only error of these functions is an output beyond 255 hashes.
	id, _ := hkdf.Key(sha256.New, []byte(secret), nil, "holdfast session: encryption id", keyIDSize)
	extracted, _ := hkdf.Extract(sha256.New, []byte(secret), nil)
	return encryptionKey{[keyIDSize]byte(id), &sync.Pool{New: func() any {
		return &scratch{mac: hmac.New(sha256.New, extracted), info: []byte(encryptionInfo)}
	}}}
}

// cipher returns AES-256-GCM with the key of one record. It derives the key by
// HKDF-Expand (RFC 5869, section 2.3) with the record's ID in its info. One
// hash of output takes one HMAC. The HMAC in s has already hashed the secret.
// With crypto/hkdf this takes four times as long and 16 allocations.
func (s *scratch) cipher(record ID) cipher.AEAD {
	s.mac.Reset()
	s.info = append(append(s.info[:len(encryptionInfo)], record[:]...), 1)
	s.mac.Write(s.info)
	s.mac.Sum(s.key[:0])
	// These functions accept a key of 32 bytes and a block of 16.
	block, _ := aes.NewCipher(s.key[:])
	aead, _ := cipher.NewGCM(block)
	return aead
}

// additionalData returns the data to authenticate with the ciphertext.
func (s *scratch) additionalData(data []byte, name string) []byte {
	s.additional = append(append(s.additional[:0], data[:headerSize]...), name...)
	return s.additional
}

func (k encryptionKey) encrypt(record ID, name string, plain []byte) []byte {
	s := k.scratch.Get().(*scratch)
	defer k.scratch.Put(s)
	data := make([]byte, headerSize+nonceSize, encryptionOverhead+len(plain))
	data[0], data[1] = escape, escapeEncrypted
	copy(data[2:], k.id[:])
	nonce := data[headerSize:]
	rand.Read(nonce)
	return s.cipher(record).Seal(data, nonce, plain, s.additionalData(data, name))
}

func (k encryptionKey) decrypt(record ID, name string, data []byte) ([]byte, error) {
	s := k.scratch.Get().(*scratch)
	defer k.scratch.Put(s)
	nonce, sealed := data[headerSize:headerSize+nonceSize], data[headerSize+nonceSize:]
	// The result is never nil, because nil means a damaged value.
	return s.cipher(record).Open(make([]byte, 0, len(sealed)), nonce, sealed, s.additionalData(data, name))
}

func (v Value) isEncrypted() bool {
	return len(v.Data) >= encryptionOverhead && v.Data[0] == escape && v.Data[1] == escapeEncrypted
}

// encrypts reports whether v was encrypted with k.
func (k encryptionKey) encrypts(v Value) bool {
	return v.isEncrypted() && bytes.Equal(v.Data[2:headerSize], k.id[:])
}

// protect returns a value in the form in which a record stores it.
func (m *Manager) protect(record ID, name string, v Value) Value {
	if m.encryption {
		v.Data = m.keys[0].encryption.encrypt(record, name, v.Data)
	}
	return v
}

// reveal returns a stored value as it was before protect. It decrypts with all
// accepted secrets, even if encryption is switched off.
func (m *Manager) reveal(record ID, name string, v Value) (Value, error) {
	if !v.isEncrypted() {
		return v, nil
	}
	err := errSealed
	for i := range m.keys {
		k := m.keys[i].encryption
		if !k.encrypts(v) {
			continue
		}
		plain, derr := k.decrypt(record, name, v.Data)
		if derr == nil {
			v.Data = plain
			return v, nil
		}
		err = errForged
	}
	return v, err
}

// sealed reports whether a value is unreadable with this version and these
// secrets, although another deploy may be able to read it.
func (m *Manager) sealed(v Value) bool {
	for i := range m.keys {
		if m.keys[i].encryption.encrypts(v) {
			return false
		}
	}
	return len(v.Data) > 0 && v.Data[0] == escape && (len(v.Data) == 1 || v.Data[1] != escapePlain)
}

// encryptAgain adds stored values to the change of a sign-in if they are not
// encrypted with the current secret. The guard has their versions, so a
// concurrent write is not lost (see Change.dropChanged).
func (s *Session) encryptAgain(ch *Change, rec *Record) {
	if !s.m.encryption || ch.Replace {
		return
	}
	ch.If.Versions = make(map[string]int64)
	for name, v := range rec.Values {
		if _, pending := s.pend.values[name]; pending || s.m.keys[0].encryption.encrypts(v) {
			continue
		}
		plain, err := s.m.reveal(rec.ID, name, v)
		if err != nil || plain.Data == nil || s.m.sealed(plain) {
			continue // it stays as it is
		}
		plain.Version = newVersion()
		ch.Set[name] = s.m.protect(rec.ID, name, plain)
		ch.If.Versions[name] = v.Version
	}
}

// dropChanged omits the guarded values that another request has written
// since.
func (ch *Change) dropChanged(found *Record) {
	for name, version := range ch.If.Versions {
		if found.Values[name].Version != version {
			delete(ch.If.Versions, name)
			delete(ch.Set, name)
		}
	}
}
