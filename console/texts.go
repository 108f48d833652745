package console

import (
	"reflect"
	"time"
)

// Texts are the words of [Devices] in one language. The words of a zero field are
// those of [English]. Times are in UTC.
type Texts struct {
	Lang  string // tag of the language (BCP 47)
	Dir   string // direction of the script, "ltr" or "rtl"
	Title string // title and heading of the page
	Intro string // sentence below the heading

	Device    func(browser, system string) string  // name of a device; both are empty if it is not known
	This      string                               // mark of the device of this request
	LastSeen  func(at, now time.Time) string       // when the device was last seen
	SignedIn  func(at, now time.Time) string       // when the user signed in
	End       string                               // button that ends one session
	EndDevice func(device, lastSeen string) string // name of this button for people who do not see the list
	EndOthers string                               // button that ends all other sessions
	OnlyThis  string                               // sentence if there is no other session

	Ended       string // message after one session has ended
	OthersEnded string // message after all other sessions have ended

	NotSignedIn string // error if nobody is signed in
	Refused     string // error if another site sent the form
	BadForm     string // error if the page did not send the form
	Failed      string // error if the store does not respond
}

// English returns the default words.
func English() Texts {
	return Texts{
		Lang:   "en",
		Dir:    "ltr",
		Title:  "Your devices",
		Intro:  "You are signed in on these devices. Sign out on each device that you do not know or no longer use.",
		Device: deviceName,
		This:   "This device",
		LastSeen: func(at, now time.Time) string {
			return "Last seen " + ago(now.Sub(at))
		},
		SignedIn: func(at, _ time.Time) string {
			return "Signed in on " + at.Format("2 January 2006")
		},
		End: "Sign out",
		EndDevice: func(device, lastSeen string) string {
			return "Sign out " + device + ", " + lastSeen
		},
		EndOthers:   "Sign out on all other devices",
		OnlyThis:    "You are signed in on no other device.",
		Ended:       "You are signed out on that device.",
		OthersEnded: "You are signed out on all other devices.",
		NotSignedIn: "You are not signed in.",
		Refused:     "Only the page of this site can send this form.",
		BadForm:     "This form is not complete. Go back and reload the page.",
		Failed:      "The list of your devices is not available at the moment. Please try again.",
	}
}

// deviceName names a device in English.
func deviceName(browser, system string) string {
	switch {
	case browser == "" && system == "":
		return "Unknown device"
	case browser == "" || system == "":
		return browser + system
	}
	return browser + " on " + system
}

// orEnglish returns t with the words of English in its zero fields.
func (t Texts) orEnglish() Texts {
	own, english := reflect.ValueOf(&t).Elem(), reflect.ValueOf(English())
	for i := range own.NumField() {
		if own.Field(i).IsZero() {
			own.Field(i).Set(english.Field(i))
		}
	}
	return t
}
