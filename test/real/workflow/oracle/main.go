// Prints templates with Go's own text/template, and turns manifests into JSON with the reader of
// Kubernetes' tools: one JSON object {text, data} or {yaml} a line in, one {out, err} a line out.
// Whole numbers become int, as YAML gives them to a template.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"text/template"

	"sigs.k8s.io/yaml"
)

type given struct {
	Text string `json:"text"`
	Data any    `json:"data"`
	YAML string `json:"yaml"`
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
	if in.YAML != "" {
		out, err := yaml.YAMLToJSON([]byte(in.YAML))
		if err != nil {
			return answer{Err: "yaml: " + err.Error()}
		}
		return answer{Out: string(out)}
	}
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
