package console_test

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session/console"
)

var color = regexp.MustCompile(`--([\w-]+): #([0-9a-f]{6});`)

// luminance returns the relative luminance of a color (WCAG 2.2).
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(hex, 16, 32)
	require.NoError(t, err)
	l := 0.0
	for i, weight := range []float64{0.0722, 0.7152, 0.2126} {
		v := float64(n>>(8*i)&0xff) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		l += weight * v
	}
	return l
}

// The contrast of each pair of colors that the pages use is that of WCAG 2.2 AA,
// 4.5 for text (1.4.3) and 3 for controls and plots (1.4.11).
func TestStyle_Contrast(t *testing.T) {
	type pair struct {
		front, back string
		want        float64
	}
	pairs := map[string][]pair{
		"console.css": {
			{"text", "page", 4.5},
			{"text", "surface", 4.5},
			{"text", "sunken", 4.5},
			{"text", "good", 4.5},
			{"quiet", "page", 4.5},
			{"quiet", "surface", 4.5},
			{"quiet", "sunken", 4.5},
			{"accent", "page", 4.5},
			{"accent", "surface", 4.5},
			{"danger", "surface", 4.5},
			{"danger", "bad", 4.5},
			{"on-accent", "accent", 4.5},
			{"on-danger", "danger", 4.5},
			{"edge", "surface", 3},
			{"edge", "page", 3},
			{"series-2", "surface", 3},
			{"ok", "surface", 1.5},
			{"danger", "ok", 3},
		},
		"devices.css": {
			{"devices-text", "devices-page", 4.5},
			{"devices-text", "devices-surface", 4.5},
			{"devices-text", "devices-hover", 4.5},
			{"devices-text", "devices-good", 4.5},
			{"devices-quiet", "devices-page", 4.5},
			{"devices-quiet", "devices-surface", 4.5},
			{"devices-edge", "devices-surface", 3},
			{"devices-edge", "devices-page", 3},
			{"devices-accent", "devices-page", 3},
		},
	}
	for name, css := range console.Styles() {
		light, dark, ok := strings.Cut(css, "@media (prefers-color-scheme: dark) {")
		require.True(t, ok, name)
		for scheme, part := range map[string]string{"light": light, "dark": dark} {
			colors := map[string]string{}
			for _, m := range color.FindAllStringSubmatch(part, -1) {
				colors[m[1]] = m[2]
			}
			for _, p := range pairs[name] {
				a, b := luminance(t, colors[p.front]), luminance(t, colors[p.back])
				ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05)
				assert.GreaterOrEqual(t, ratio, p.want, "%s, %s: %s on %s", name, scheme, p.front, p.back)
			}
			assert.NotEmpty(t, pairs[name], name)
		}
		for _, m := range regexp.MustCompile(`#[0-9a-f]{3,8}\b`).FindAllStringIndex(css, -1) {
			assert.Regexp(t, `--[\w-]+: $`, css[:m[0]], "%s: a color outside of the list", name)
		}
	}
}
