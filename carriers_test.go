package session_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
)

// sender determines how the clients of all tests send their tokens.
var sender tokenSender

// tokenSender is the cookie, or the headers of WithTokenHeader if header is
// true. With the header a test still sees cookies. Its client replaces the
// cookie of each request by the header, and the header of each response by a
// cookie.
type tokenSender struct {
	header bool
	tokens atomic.Int64 // tokens sent or received in a header
}

// options adds the options of a Manager to opts.
func (s *tokenSender) options(opts ...session.Option) []session.Option {
	if s.header {
		opts = append(opts, session.WithTokenHeader("Authorization", "Session-Token"))
	}
	return opts
}

// client returns the transport of a client.
func (s *tokenSender) client(t testing.TB, base http.RoundTripper) http.RoundTripper {
	if s.header {
		return &tokenClient{base, t}
	}
	return base
}

// tokenClient is a client that sends the token in a header.
type tokenClient struct {
	http.RoundTripper
	t testing.TB
}

func (c *tokenClient) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	c.sendToken(r)
	res, err := c.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	c.receiveToken(res)
	return res, nil
}

func (c *tokenClient) sendToken(r *http.Request) {
	authorization := "Bearer"
	cookies := r.Cookies()
	r.Header.Del("Cookie")
	for _, cookie := range cookies {
		if cookie.Name != host {
			r.AddCookie(cookie)
			continue
		}
		if authorization != "Bearer" {
			c.t.Error("a token client has one token")
		}
		authorization += " " + cookie.Value
		sender.tokens.Add(1)
	}
	r.Header.Set("Authorization", authorization)
}

func (c *tokenClient) receiveToken(res *http.Response) {
	for _, cookie := range res.Cookies() {
		if cookie.Name == host {
			c.t.Error("a token client got a cookie")
		}
	}
	if tokens := res.Header["Session-Token"]; len(tokens) > 0 {
		if len(tokens) > 1 {
			c.t.Errorf("the response has %d tokens", len(tokens))
		}
		sender.tokens.Add(1)
		cookie := &http.Cookie{Name: host, Value: tokens[0], Path: "/", Secure: true}
		if cookie.Value == "" {
			cookie.MaxAge = -1
		}
		res.Header.Add("Set-Cookie", cookie.String())
	}
	for i, vary := range res.Header["Vary"] {
		res.Header["Vary"][i] = strings.Replace(vary, "Authorization", "Cookie", 1)
	}
}

// promises are tests that hold for the token in a header too.
var promises = map[string]func(t *testing.T){
	"TestResponse_EveryKind":              TestResponse_EveryKind,
	"TestWriteHeader_EarlyHints":          TestWriteHeader_EarlyHints,
	"TestWriteHeader_SwitchingProtocols":  TestWriteHeader_SwitchingProtocols,
	"TestResponse_HintsAfterRefusedFlush": TestResponse_HintsAfterRefusedFlush,

	"TestErrorPage_StoreFails":                 TestErrorPage_StoreFails,
	"TestWithErrorHandler_SetsNoStatus":        TestWithErrorHandler_SetsNoStatus,
	"TestWithErrorHandler_RequestHasNoSession": TestWithErrorHandler_RequestHasNoSession,
	"TestSave_HandlerErrorStatus":              TestSave_HandlerErrorStatus,
	"TestCacheHeaders_LateRead":                TestCacheHeaders_LateRead,
	"TestCacheHeaders_ForCertainCaches":        TestCacheHeaders_ForCertainCaches,

	"TestLateChange_Outcomes":                    TestLateChange_Outcomes,
	"TestLateChange_StoredBeforeFurtherBytes":    TestLateChange_StoredBeforeFurtherBytes,
	"TestLateChange_FailedCommitCutsTheResponse": TestLateChange_FailedCommitCutsTheResponse,
	"TestPanic_DiscardsChanges":                  TestPanic_DiscardsChanges,
	"TestPanic_AfterTheFirstByte":                TestPanic_AfterTheFirstByte,
	"TestClientGone":                             TestClientGone,
	"TestContextEnds_ClientConnected":            TestContextEnds_ClientConnected,

	"TestSession_PendingChanges":        TestSession_PendingChanges,
	"TestSave_FailureKeepsTheChanges":   TestSave_FailureKeepsTheChanges,
	"TestSave_AgainAfterUnknownOutcome": TestSave_AgainAfterUnknownOutcome,
	"TestInsert_LostReplies":            TestInsert_LostReplies,
	"TestSave_LostReply":                TestSave_LostReply,
	"TestUpdate_LostReplies":            TestUpdate_LostReplies,
	"TestUpdate_Errors":                 TestUpdate_Errors,
	"TestReload":                        TestReload,
	"TestUpdate_AfterConcurrentSignIn":  TestUpdate_AfterConcurrentSignIn,
	"TestCommands_PerRequest":           TestCommands_PerRequest,

	"TestToken_Superseded":              TestToken_Superseded,
	"TestSecrets_Rotation":              TestSecrets_Rotation,
	"TestSignIn_DoubleClick":            TestSignIn_DoubleClick,
	"TestSignIn_JoinsWithinGracePeriod": TestSignIn_JoinsWithinGracePeriod,
	"TestRenew_BesideSignIn":            TestRenew_BesideSignIn,
	"TestRenew_OnlySignInJoins":         TestRenew_OnlySignInJoins,
	"TestRenew_LostReplies":             TestRenew_LostReplies,
	"TestRenew_RenewedAgain":            TestRenew_RenewedAgain,
	"TestAdmit_RecordWithoutVerifier":   TestAdmit_RecordWithoutVerifier,

	"TestSignIn_FailedStep":            TestSignIn_FailedStep,
	"TestSignIn_CompletedLater":        TestSignIn_CompletedLater,
	"TestSignIn_DiscardedAfterFailure": TestSignIn_DiscardedAfterFailure,
	"TestSignIn_RepeatedInOneRequest":  TestSignIn_RepeatedInOneRequest,
	"TestSignOut_AfterFailedSignIn":    TestSignOut_AfterFailedSignIn,
	"TestSignOut_LostReplies":          TestSignOut_LostReplies,

	"TestRevoke_OneAllAndOthers":         TestRevoke_OneAllAndOthers,
	"TestRevokeAll_ConcurrentSignIn":     TestRevokeAll_ConcurrentSignIn,
	"TestRevokeAll_SameRequestMaySignIn": TestRevokeAll_SameRequestMaySignIn,
	"TestRevokeAll_OwnSessionThenSignIn": TestRevokeAll_OwnSessionThenSignIn,
	"TestRevokeOthers_SupersededToken":   TestRevokeOthers_SupersededToken,
	"TestWithMaxPerUser":                 TestWithMaxPerUser,

	"TestIdleTimeout_ToTheMillisecond":  TestIdleTimeout_ToTheMillisecond,
	"TestTimeouts_LoweredByDeploy":      TestTimeouts_LoweredByDeploy,
	"TestTouch_Intervals":               TestTouch_Intervals,
	"TestTouch_AfterShorterTimeout":     TestTouch_AfterShorterTimeout,
	"TestExpiry_DuringRequest":          TestExpiry_DuringRequest,
	"TestSave_KeepsLongConnectionAlive": TestSave_KeepsLongConnectionAlive,

	"TestFault02_SignOutUndone":        TestFault02_SignOutUndone,
	"TestFault02_SignInAfterSignOut":   TestFault02_SignInAfterSignOut,
	"TestFault04_RedirectBeforeSave":   TestFault04_RedirectBeforeSave,
	"TestFault06_FlushBeforeCommit":    TestFault06_FlushBeforeCommit,
	"TestFault07_LateValue":            TestFault07_LateValue,
	"TestFault08_HijackLosesCookie":    TestFault08_HijackLosesCookie,
	"TestFault09_RenewalLosesData":     TestFault09_RenewalLosesData,
	"TestFault10_FailedLoad":           TestFault10_FailedLoad,
	"TestFault14_ExpiredRecord":        TestFault14_ExpiredRecord,
	"TestFault15_TouchOfDeletedRecord": TestFault15_TouchOfDeletedRecord,
	"TestFault16_TokensInDatabase":     TestFault16_TokensInDatabase,

	"TestEvents_Fields":               TestEvents_Fields,
	"TestEvents_LostReply":            TestEvents_LostReply,
	"TestEvents_UnknownOutcome":       TestEvents_UnknownOutcome,
	"TestEvents_JoinedSignIn":         TestEvents_JoinedSignIn,
	"TestEvents_RevokedSignIn":        TestEvents_RevokedSignIn,
	"TestEvents_IncompleteSignIn":     TestEvents_IncompleteSignIn,
	"TestEvents_Evicted":              TestEvents_Evicted,
	"TestEvents_ContainNothingSecret": TestEvents_ContainNothingSecret,
	"TestWithTracer_StepsOfARequest":  TestWithTracer_StepsOfARequest,
}

// TestWithTokenHeader_Promises runs tests of promises again with clients that
// send the token in a header.
func TestWithTokenHeader_Promises(t *testing.T) {
	sender.header = true
	t.Cleanup(func() { sender.header = false })
	for name, test := range promises {
		t.Run(name, func(t *testing.T) {
			before := sender.tokens.Load()
			test(t)
			require.Greater(t, sender.tokens.Load(), before, "no token was in a header")
		})
	}
}
