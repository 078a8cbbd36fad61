// A Go program with one of the mistakes of the table in the README.
//
//	leak -mistake=MISTAKE -n=100 [-post] [-show] URL
//
// It knows nothing of a proxy but what the environment says.
package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

var held []*http.Response

func main() {
	mistake := flag.String("mistake", "none", "none, closeonly, unread or newtransport")
	n := flag.Int("n", 100, "sequential requests")
	post := flag.Bool("post", false, "POST instead of GET")
	show := flag.Bool("show", false, "print the bodies that are read, a line for each")
	flag.Parse()
	url := flag.Arg(0)

	shared := &http.Client{Timeout: 0}
	failed := 0
	for i := 0; i < *n; i++ {
		client := shared
		if *mistake == "newtransport" {
			client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}}
		}
		method, body := "GET", io.Reader(nil)
		if *post {
			method, body = "POST", strings.NewReader("hello")
		}
		request, err := http.NewRequest(method, url, body)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		response, err := client.Do(request)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			failed++
			continue
		}
		if response.StatusCode != 200 {
			fmt.Fprintln(os.Stderr, response.Status)
			failed++
		}
		switch *mistake {
		case "closeonly":
			response.Body.Close()
		case "unread":
			held = append(held, response) // neither read nor closed
		default:
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if *show {
				fmt.Println(string(body))
			}
		}
	}
	time.Sleep(10 * time.Millisecond)
	fmt.Printf("%d requests, %d failed\n", *n, failed)
	if failed > 0 {
		os.Exit(1)
	}
}
