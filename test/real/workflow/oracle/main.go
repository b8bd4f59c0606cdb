// Prints templates with Go's own text/template: one JSON object {text, data} a line in, one
// {out, err} a line out. Whole numbers become int, as YAML gives them to a template.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type given struct {
	Text string `json:"text"`
	Data any    `json:"data"`
}

type answer struct {
	Out string `json:"out"`
	Err string `json:"err"`
}

func native(value any) any {
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return int(n)
		}
		f, _ := v.Float64()
		return f
	case map[string]any:
		for key := range v {
			v[key] = native(v[key])
		}
	case []any:
		for index := range v {
			v[index] = native(v[index])
		}
	}
	return value
}

func fill(in given) answer {
	parsed, err := template.New("t").Parse(in.Text)
	if err != nil {
		return answer{Err: "parse: " + err.Error()}
	}
	var out strings.Builder
	if err := parsed.Execute(&out, native(in.Data)); err != nil {
		return answer{Err: "execute: " + err.Error()}
	}
	return answer{Out: out.String()}
}

func main() {
	decoder := json.NewDecoder(bufio.NewReader(os.Stdin))
	decoder.UseNumber()
	writer := bufio.NewWriter(os.Stdout)
	defer writer.Flush()
	encoder := json.NewEncoder(writer)
	for {
		var in given
		if err := decoder.Decode(&in); err != nil {
			return
		}
		if err := encoder.Encode(fill(in)); err != nil {
			panic(err)
		}
	}
}
