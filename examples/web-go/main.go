// SPDX-License-Identifier: Apache-2.0

// A guest book: a form, uploads, a file, events and a chat, as any application on net/http has them.
package main

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/coder/websocket"
)

var page = template.Must(template.New("page").Parse(`<!doctype html>
<title>Guest book</title>
<form method="post" action="{{.Base}}/notes"><input name="text"><button>Sign</button></form>
<ul>{{range .Notes}}<li>{{.}}</li>{{end}}</ul>
<form method="post" action="{{.Base}}/upload" enctype="multipart/form-data">
<input type="file" name="file"><button>Send</button></form>
`))

// oneLine keeps a text from being two lines of an event stream.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// book has the notes of each session, and everyone who listens, by chat or by events.
type book struct {
	lock      sync.Mutex
	notes     map[string][]string
	listeners map[chan string]bool
}

// base is the path that a proxy has taken off: net/http knows nothing of it, so redirects and links begin with it here.
func base(r *http.Request) string { return r.Header.Get("X-Forwarded-Prefix") }

func (b *book) page(w http.ResponseWriter, r *http.Request) {
	var notes []string
	if cookie, err := r.Cookie("session"); err == nil {
		b.lock.Lock()
		notes = b.notes[cookie.Value]
		b.lock.Unlock()
	}
	page.Execute(w, map[string]any{"Base": base(r), "Notes": notes})
}

func (b *book) sign(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie("session")
	if err != nil {
		cookie = &http.Cookie{Name: "session", Value: rand.Text(), Path: "/", HttpOnly: true}
		http.SetCookie(w, cookie)
	}
	text := r.PostFormValue("text")
	b.lock.Lock()
	b.notes[cookie.Value] = append(b.notes[cookie.Value], text)
	b.lock.Unlock()
	b.say(text)
	http.Redirect(w, r, base(r)+"/", http.StatusSeeOther)
}

func upload(w http.ResponseWriter, r *http.Request) {
	file, header, err := r.FormFile("file")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	hash := sha256.New()
	size, _ := io.Copy(hash, file)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"name": header.Filename, "bytes": size, "sha256": hex.EncodeToString(hash.Sum(nil))})
}

func (b *book) enter() chan string {
	listener := make(chan string, 16)
	b.lock.Lock()
	defer b.lock.Unlock()
	b.listeners[listener] = true
	return listener
}

func (b *book) leave(listener chan string) {
	b.lock.Lock()
	defer b.lock.Unlock()
	delete(b.listeners, listener)
	close(listener)
}

// say tells everyone; who is slow to listen misses it.
func (b *book) say(text string) {
	b.lock.Lock()
	defer b.lock.Unlock()
	for listener := range b.listeners {
		select {
		case listener <- text:
		default:
		}
	}
}

func (b *book) events(w http.ResponseWriter, r *http.Request) {
	listener := b.enter()
	defer b.leave(listener)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	for text := "welcome"; ; {
		fmt.Fprintf(w, "data: %s\n\n", oneLine.Replace(text))
		http.NewResponseController(w).Flush()
		select {
		case text = <-listener:
		case <-r.Context().Done():
			return
		}
	}
}

func (b *book) chat(w http.ResponseWriter, r *http.Request) {
	socket, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer socket.CloseNow()
	listener := b.enter()
	defer b.leave(listener)
	go func() {
		for text := range listener {
			socket.Write(r.Context(), websocket.MessageText, []byte(text))
		}
	}()
	for {
		_, text, err := socket.Read(r.Context())
		if err != nil {
			return
		}
		b.say(string(text))
	}
}

func main() {
	b := &book{notes: map[string][]string{}, listeners: map[chan string]bool{}}
	http.HandleFunc("GET /{$}", b.page)
	http.HandleFunc("POST /notes", b.sign)
	http.HandleFunc("POST /upload", upload)
	http.HandleFunc("GET /readme", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "README.md") })
	http.HandleFunc("GET /events", b.events)
	http.HandleFunc("GET /chat", b.chat)
	http.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "well") })
	http.HandleFunc("POST /invoke", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "invoked with %s", body)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "3000"), nil))
}
