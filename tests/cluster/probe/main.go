// Probe is the one program that runs in pods whose only purpose is to be asked, or to ask on a test's behalf.
//
//	probe pause                    the sandbox container of every pod
//	probe serve [ADDRESS..]        HTTP on all of them: who am I, and the actions below
//	probe fetch URL                one GET on a new connection, prints status and body
//	probe resolve NAME             one DNS lookup by the pod's resolver
//	probe connect ADDRESS          carries its input and output over one connection
//
// Served paths: / (name of the pod and source address of the caller), /fetch?u=URL, /resolve?n=NAME, /burn?ms=N (uses
// one core for N ms). Every fetch opens a new connection: a network policy does not cut established ones. What fails
// is answered with 502 and the reason; the command forms then exit with 1.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const patience = 2 * time.Second

func main() {
	command, argument := "pause", ""
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	if len(os.Args) > 2 {
		argument = os.Args[2]
	}
	switch command {
	case "pause":
		wait()
	case "serve":
		serve(os.Args[2:])
	case "fetch":
		finish(fetch(context.Background(), argument))
	case "resolve":
		finish(resolve(context.Background(), argument))
	case "connect":
		if err := carry(argument); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, "probe: pause, serve, fetch, resolve or connect, not", command)
		os.Exit(2)
	}
}

func wait() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
}

func finish(text string, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(text)
}

func serve(addresses []string) {
	if len(addresses) == 0 {
		addresses = []string{":8080"}
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		name, _ := os.Hostname()
		fmt.Fprintf(w, "pod=%s caller=%s path=%s\n", name, r.RemoteAddr, r.URL.Path)
	})
	http.HandleFunc("/fetch", func(w http.ResponseWriter, r *http.Request) {
		answer(w)(fetch(r.Context(), r.URL.Query().Get("u")))
	})
	http.HandleFunc("/resolve", func(w http.ResponseWriter, r *http.Request) {
		answer(w)(resolve(r.Context(), r.URL.Query().Get("n")))
	})
	http.HandleFunc("/burn", func(w http.ResponseWriter, r *http.Request) {
		ms, _ := strconv.Atoi(r.URL.Query().Get("ms"))
		for end := time.Now().Add(time.Duration(ms) * time.Millisecond); time.Now().Before(end); {
		}
		fmt.Fprintln(w, "burnt", ms, "ms")
	})
	for _, address := range addresses {
		go func() {
			fmt.Fprintln(os.Stderr, http.ListenAndServe(address, nil))
			os.Exit(1)
		}()
	}
	wait()
}

func answer(w http.ResponseWriter) func(string, error) {
	return func(text string, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprintln(w, text)
	}
}

func fetch(ctx context.Context, url string) (string, error) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // it probes reachability, not identity
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	return fmt.Sprintf("%d %s", response.StatusCode, strings.TrimSpace(string(body))), err
}

func resolve(ctx context.Context, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	return strings.Join(addresses, " "), err
}

// Ends when the other side has closed.
func carry(address string) error {
	connection, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return err
	}
	go func() {
		io.Copy(connection, os.Stdin)
		connection.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, connection)
	return err
}
