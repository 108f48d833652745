package browser_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func TestKill_BothReplicas(t *testing.T) {
	p := newProfile(t)
	p.signIn("Ann")
	p.click("button[value=Bread]")
	p.click("button[value=Bread]")
	p.click("#add-one")
	const pids = `[...document.querySelectorAll("[data-replica] [data-status]")].map((e) => e.textContent)`
	before := evaluate[[]string](p, pids)
	p.click("#kill-both")
	p.shows("Both replicas are down")
	p.shows("Everything is up again") // without a click
	p.shows("Signed in as Ann")
	p.shows("Bread × 2")
	after := evaluate[[]string](p, pids)
	if len(before) != 2 || len(after) != 2 || before[0] == after[0] || before[1] == after[1] {
		t.Errorf("the replicas before: %q, after: %q", before, after)
	}
	if n := evaluate[string](p, `document.getElementById("count").textContent`); n != "1" {
		t.Errorf("the counter is %s, want 1", n)
	}
}

// The first sign-in of a user looks for a revocation. A missing record is not a failure.
func TestCosts_NotFoundIsNoFailure(t *testing.T) {
	p := newProfile(t)
	p.signIn("Anouk")
	p.shows("not found")
	for _, script := range []bool{true, false} {
		if n := evaluate[int](p, `document.querySelectorAll(".op.failed").length`); n != 0 {
			t.Errorf("script %v: %d store calls are shown as failed", script, n)
		}
		if n := evaluate[int](p, `document.querySelectorAll(".op").length`); n == 0 {
			t.Errorf("script %v: no store call is shown", script)
		}
		if _, err := chromedp.Call(p.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
			t.Fatal(err)
		}
		p.open()
	}
}

func TestKill_OneReplica(t *testing.T) {
	p := newProfile(t)
	p.signIn("Abe")
	p.click("[data-replica=A] button")
	p.shows("replica B")
	p.shows("dead, to be started again")
	p.shows("Signed in as Abe")
	p.do(chromedp.WaitNotPresent(chromedp.CSS("[data-replica].down"))) // the page has updated itself
}

func TestOutage_KeepsSignIn(t *testing.T) {
	p := newProfile(t)
	p.signIn("Bob")
	p.click("#add-one")
	p.click("#outage")
	p.shows("The database does not answer")
	p.shows("you stay signed in")
	for _, scheme := range []string{"light", "dark"} {
		p.look(scheme, 375)
		p.checkFit(375)
		p.checkContrast(scheme)
		p.save("outage-375-"+scheme+".png", get(p, chromedp.CaptureScreenshot()))
	}
	p.shows("Everything is up again")
	p.shows("Signed in as Bob")
}

func TestDevices_EndOthers(t *testing.T) {
	laptop, phone := newProfile(t), newProfile(t)
	laptop.signIn("Cleo")
	phone.signIn("Cleo")
	laptop.open()
	if n := evaluate[int](laptop, `document.querySelectorAll(".devices li").length`); n != 2 {
		t.Fatalf("%d devices, want 2", n)
	}
	laptop.click(".devices form button")
	laptop.shows("That device is signed out")
	laptop.shows("Signed in as Cleo")
	phone.open()
	phone.hides("Signed in as")

	phone.signIn("Cleo")
	laptop.open()
	laptop.click("#end-others")
	laptop.shows("All your other devices are signed out")
	phone.open()
	phone.hides("Signed in as")
	laptop.open()
	laptop.shows("Signed in as Cleo")
}

func (p *profile) cookies() []*network.Cookie {
	p.t.Helper()
	all, err := chromedp.CallBrowser(p.ctx, storage.GetCookies, storage.GetCookiesParams{})
	if err != nil {
		p.t.Fatal(err)
	}
	return all.Cookies
}

func TestCookie_SignInAndSignOut(t *testing.T) {
	p := newProfile(t)
	p.open()
	if all := p.cookies(); len(all) != 0 {
		t.Fatalf("%d cookies for a visitor for whom nothing is stored", len(all))
	}
	p.signIn("Dora")
	all := p.cookies()
	if len(all) != 1 {
		t.Fatalf("%d cookies, want 1", len(all))
	}
	c := all[0]
	if c.Name != "__Host-session" || !c.Secure || !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax ||
		c.Path != "/" || c.Domain != "127.0.0.1" || c.PartitionKey != nil {
		t.Errorf("%+v", *c)
	}
	if days := time.Until(time.Unix(int64(c.Expires), 0)).Hours() / 24; math.Abs(days-30) > 0.01 {
		t.Errorf("it lasts for %.2f days, want 30", days)
	}
	if script := evaluate[string](p, "document.cookie"); script != "" {
		t.Errorf("scripts see %q", script)
	}
	if p.hides(c.Value); len(c.Value) < 100 {
		t.Errorf("a value of %d bytes", len(c.Value))
	}
	p.click("#sign-out")
	p.shows("You are signed out")
	p.hides("Signed in as")
	if all := p.cookies(); len(all) != 0 {
		t.Errorf("%d cookies after the sign-out", len(all))
	}
}

func TestPage_WithoutScript(t *testing.T) {
	p := newProfile(t)
	if _, err := chromedp.Call(p.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	text := func(selector string) string { return get(p, chromedp.TextContent(chromedp.CSS(selector))) }
	p.open()
	p.do(chromedp.SendKeys(chromedp.CSS("#user"), "Emil"))
	p.click("#sign-in")
	if who := text(".who"); who != "Signed in as Emil" {
		t.Errorf("the page says %q", who)
	}
	p.click("#add-one")
	p.click("button[value=Tea]")
	if n, cart := text("#count"), text("#cart"); n != "1" || cart != "Tea × 1" {
		t.Errorf("the counter is %q, the cart %q", n, cart)
	}
	if costs := text("#cost-list"); !strings.Contains(costs, "POST /cart") {
		t.Errorf("the list of costs: %q", costs)
	}
	p.click("#sign-out")
	if says := text("#session .notice"); !strings.Contains(says, "You are signed out") {
		t.Errorf("the page says %q", says)
	}
}

// The operator finds a visitor of the demo in the console and ends the session.
func TestOperator_EndsSession(t *testing.T) {
	p, operator := newProfile(t), newProfile(t)
	p.signIn("Hana")
	operator.open()
	operator.click("a[href='/console/A/']")
	operator.shows("Store, last hour")
	operator.do(chromedp.SendKeys(chromedp.CSS("#q"), "Hana"+kb.Enter))
	operator.shows("1 live session")
	operator.click(".sessions .danger")
	operator.shows("The session has ended.")
	p.open()
	p.hides("Signed in as")
	operator.click(".home")
	operator.shows("Session revoked")
}

// The failures of an outage are in the plots of the replica, whose overview works
// during the outage.
func TestOperator_SeesOutage(t *testing.T) {
	p, operator := newProfile(t), newProfile(t)
	p.signIn("Iris")
	p.click("#outage")
	p.open() // the other replica
	operator.do(chromedp.Navigate(suite.url + "/console/B/"))
	operator.shows("Store failed")
	for _, name := range []string{"A", "B"} {
		operator.do(chromedp.Navigate(suite.url + "/console/" + name + "/"))
		operator.shows("Replica " + name)
		if n := evaluate[int](operator, `document.querySelectorAll("svg rect.failed").length`); n == 0 {
			t.Errorf("no failed call in the plot of replica %s", name)
		}
	}
	for _, l := range looks {
		operator.look(l.scheme, l.width)
		operator.checkFit(l.width)
		operator.save(fmt.Sprintf("operator-%d-%s.png", l.width, l.scheme), get(operator, chromedp.FullScreenshot(100)))
	}
	p.shows("Signed in as Iris")
}

// A visitor of the demo ends the session of another device on the page of the library.
func TestOperator_Devices(t *testing.T) {
	laptop, phone := newProfile(t), newProfile(t)
	laptop.signIn("Jon")
	phone.signIn("Jon")
	laptop.open()
	laptop.click("a[href='/devices']")
	laptop.shows("Your devices")
	laptop.click(".devices button")
	laptop.shows("You are signed out on that device.")
	phone.open()
	phone.hides("Signed in as")
	phone.do(chromedp.Navigate(suite.url + "/devices"))
	phone.shows("Your name") // the page asks to sign in
}
