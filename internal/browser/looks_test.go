package browser_test

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const screenshots = demoFolder + "/screenshots" // ignored by git

// maxPicture is the maximum size of the README's picture in bytes.
const maxPicture = 160 << 10

func (p *profile) look(scheme string, width int64) {
	p.t.Helper()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		p.t.Fatal(err)
	}
	p.do(chromedp.EmulateViewport(width, 900))
}

// inUse returns a profile with every part of the page in use.
func inUse(t *testing.T, user string) *profile {
	t.Helper()
	p, other := newProfile(t), newProfile(t)
	other.signIn(user)
	p.signIn(user)
	for _, selector := range []string{"button[value=Bread]", "button[value=Tea]", "button[value=Bread]", "#add-one", "#add-one", "#add-one"} {
		p.click(selector)
	}
	p.open()
	p.shows("Bread × 2")
	return p
}

var looks = []struct {
	scheme string
	width  int64
}{{"light", 375}, {"dark", 375}, {"light", 1440}, {"dark", 1440}}

func TestPage_Looks(t *testing.T) {
	p := inUse(t, "Flora")
	for _, l := range looks {
		p.look(l.scheme, l.width)
		p.checkFit(l.width)
		p.checkContrast(l.scheme)
		p.checkTargets()
		p.save(fmt.Sprintf("page-%d-%s.png", l.width, l.scheme), get(p, chromedp.FullScreenshot(100)))
	}
	if *picture != "" {
		p.savePicture(*picture)
	}
	p.click("#sign-out")
	for _, l := range looks {
		p.look(l.scheme, l.width)
		p.checkFit(l.width)
		p.checkContrast(l.scheme)
		p.save(fmt.Sprintf("anonymous-%d-%s.png", l.width, l.scheme), get(p, chromedp.FullScreenshot(100)))
	}
}

func (p *profile) save(name string, data []byte) {
	p.t.Helper()
	if err := os.MkdirAll(screenshots, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(screenshots, name), data, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// savePicture writes the top two cards of the page. The page is as narrow as it can
// be with two columns, because the README shows the picture smaller than it is.
func (p *profile) savePicture(name string) {
	p.t.Helper()
	p.look("light", 992)
	p.do(chromedp.EmulateViewport(992, 1020))
	p.click("[data-replica=B] button")
	p.do(chromedp.Evaluate[chromedp.Void]("scrollTo(0, 0)"))
	img, err := png.Decode(bytes.NewReader(get(p, chromedp.CaptureScreenshot())))
	if err != nil {
		p.t.Fatal(err)
	}
	box := evaluate[[]float64](p, `(() => { const b = document.querySelector(".columns").firstElementChild.getBoundingClientRect(); return [b.top, b.bottom]; })()`)
	const margin = 12
	cards := img.(interface {
		SubImage(image.Rectangle) image.Image
	}).SubImage(image.Rect(0, int(box[0])-margin, 992, int(box[1])+margin))
	var buf bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&buf, cards); err != nil {
		p.t.Fatal(err)
	}
	if buf.Len() > maxPicture {
		p.t.Errorf("the picture has %d bytes, want at most %d", buf.Len(), maxPicture)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(name, buf.Bytes(), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// checkFit fails the test if the page is wider than the window.
func (p *profile) checkFit(width int64) {
	p.t.Helper()
	if w := evaluate[int64](p, "document.documentElement.scrollWidth"); w > width {
		p.t.Errorf("the page is %d wide in a window of %d", w, width)
	}
}

// checkTargets checks the size of controls by WCAG 2.2, 2.5.8: 24 by 24 pixels.
func (p *profile) checkTargets() {
	p.t.Helper()
	small := evaluate[[]string](p, `[...document.querySelectorAll("a:not(.skip), button, input:not([type=hidden])")]
		.filter((e) => { const r = e.getBoundingClientRect(); return e.checkVisibility() && (r.width < 24 || r.height < 24); }).map((e) => e.outerHTML)`)
	if len(small) > 0 {
		p.t.Errorf("too small to hit: %q", small)
	}
}

// contrasts lists the contrast of each text with its background, and of the edge of each control.
const contrasts = `(() => {
	const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
	const rgba = (text) => { const n = text.match(/[\d.]+/g).map(Number); return [n[0], n[1], n[2], n[3] ?? 1]; };
	const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
	const behind = (e) => {
		for (; e; e = e.parentElement) {
			const c = rgba(getComputedStyle(e).backgroundColor);
			if (c[3] === 1) return c;
			if (c[3] !== 0) throw new Error("half transparent: " + e.outerHTML);
		}
		return [255, 255, 255, 1];
	};
	const ratio = (a, b) => {
		const [x, y] = [luminance(a), luminance(b)];
		return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
	};
	const found = [];
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) {
		const e = texts.currentNode.parentElement;
		if (!texts.currentNode.textContent.trim() || !e.checkVisibility() || e.closest("template, .hidden")) continue;
		found.push({Kind: "text", What: texts.currentNode.textContent.trim().slice(0, 40), Ratio: ratio(rgba(getComputedStyle(e).color), behind(e))});
	}
	for (const e of document.querySelectorAll("button, input:not([type=hidden]), a.button")) {
		const style = getComputedStyle(e);
		if (style.borderTopWidth === "0px" || !e.checkVisibility()) continue;
		found.push({Kind: "edge", What: e.textContent.trim() || e.id, Ratio: ratio(rgba(style.borderTopColor), behind(e.parentElement))});
	}
	const root = getComputedStyle(document.documentElement);
	const probe = document.body.appendChild(document.createElement("i"));
	probe.style.color = root.getPropertyValue("--accent");
	for (const ground of root.getPropertyValue("--accent") ? ["--page", "--surface"] : []) {
		probe.style.backgroundColor = root.getPropertyValue(ground);
		found.push({Kind: "edge", What: "focus on " + ground, Ratio: ratio(rgba(getComputedStyle(probe).color), rgba(getComputedStyle(probe).backgroundColor))});
	}
	probe.remove();
	return found;
})()`

// checkContrast checks WCAG 2.2, 1.4.3 and 1.4.11.
func (p *profile) checkContrast(scheme string) {
	p.t.Helper()
	need := map[string]float64{"text": 4.5, "edge": 3}
	lowest := map[string]float64{"text": 21, "edge": 21}
	for _, c := range evaluate[[]struct {
		Kind, What string
		Ratio      float64
	}](p, contrasts) {
		lowest[c.Kind] = min(lowest[c.Kind], c.Ratio)
		if c.Ratio < need[c.Kind] {
			p.t.Errorf("%s: the %s %q has a contrast of %.2f, want %.1f", scheme, c.Kind, c.What, c.Ratio, need[c.Kind])
		}
	}
	p.t.Logf("%s: lowest contrast of text %.2f, of edges %.2f", scheme, lowest["text"], lowest["edge"])
}

// TestKeyboard_Order goes through the page with the Tab key. It reaches every control in the order of the page, and
// each control shows its focus.
func TestKeyboard_Order(t *testing.T) {
	p := inUse(t, "Gwen")
	p.look("light", 1440)
	want := evaluate[[]string](p, `[...document.querySelectorAll("a, button, input:not([type=hidden]), [tabindex='0']")].map((e, i) => e.dataset.order = String(i))`)
	var got []string
	for range want {
		p.do(chromedp.KeyEvent(kb.Tab))
		at := evaluate[[]string](p, `(() => { const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
			const seen = s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 && r.bottom > 0 && r.top < innerHeight;
			return [e.dataset.order ?? "", String(seen), e.outerHTML]; })()`)
		got = append(got, at[0])
		if at[1] != "true" {
			t.Errorf("the focus is not seen on %s", at[2])
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the order is %v, want %v", got, want)
	}
	nameless := evaluate[[]string](p, `[...document.querySelectorAll("button, a, input:not([type=hidden])")]
		.filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).map((e) => e.outerHTML)`)
	if len(nameless) > 0 {
		t.Errorf("without a name: %s", strings.Join(nameless, "\n"))
	}
	p.open()
	p.do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter)) // the skip link
	p.do(chromedp.KeyEvent(kb.Tab))
	if in := evaluate[bool](p, `!!document.activeElement.closest("#session")`); !in {
		t.Error("the skip link does not lead to the session")
	}
}
