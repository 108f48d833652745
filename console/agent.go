package console

import "strings"

// A pair is a substring of a User-Agent and its meaning. The order matters, because
// most browsers also have the names of others.
type pair struct{ part, name string }

var browsers = []pair{
	{"Edg", "Edge"},
	{"OPR/", "Opera"},
	{"SamsungBrowser/", "Samsung Internet"},
	{"Firefox/", "Firefox"},
	{"FxiOS/", "Firefox"},
	{"CriOS/", "Chrome"},
	{"Chrome/", "Chrome"},
	{"Safari/", "Safari"},
	{"curl/", "curl"},
	{"Go-http-client/", "Go program"},
	{"okhttp/", "Android app"},
	{"CFNetwork/", "Apple app"},
}

var systems = []pair{
	{"Android", "Android"},
	{"iPhone", "iPhone"},
	{"iPad", "iPad"},
	{"Windows", "Windows"},
	{"CrOS", "ChromeOS"},
	{"Mac OS X", "macOS"},
	{"Linux", "Linux"},
}

func find(pairs []pair, text string) string {
	for _, p := range pairs {
		if strings.Contains(text, p.part) {
			return p.name
		}
	}
	return ""
}

// deviceOf returns the browser and the system of a User-Agent. Both are empty if
// they are not known. The texts are constants, so they contain nothing of agent.
func deviceOf(agent string) (browser, system string) {
	return find(browsers, agent), find(systems, agent)
}
