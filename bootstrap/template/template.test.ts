/** Setup-command templates: what they print, what they refuse, and that values stay one word. */
import { describe, expect, test } from "bun:test";
import { $ } from "bun";
import fc from "fast-check";
import { parseOpenTemplate, parseTemplate } from "./parse.ts";
import { fillTemplate, formatTemplate, type TemplateValues } from "./print.ts";
import { quoteShell } from "./quote.ts";
import { TEMPLATE_VARIABLES, variableEnv } from "./variable.ts";

const VALUES = {
  ControlPlane: "http://10.0.0.5:50051",
  Pool: "training",
  NodeID: "node-1",
  Region: "us-west-2",
  Zone: "",
};
const LISTS = { Pool: "text", Names: "list" } as const;

function print(text: string, values: TemplateValues = VALUES): string {
  const answer = parseTemplate(text, { ...TEMPLATE_VARIABLES, ...LISTS });
  if (!answer.ok) throw new Error(`${answer.message} at ${answer.at.line}:${answer.at.col}`);
  return formatTemplate(answer.template, values);
}

describe("formatTemplate()", () => {
  const cases: [string, string][] = [
    ["plain", "plain"],
    ["a {{.Pool}} b", "a training b"],
    ["{{ .Pool }}{{.NodeID}}", "trainingnode-1"],
    ["a  {{- .Pool -}}  b", "atrainingb"],
    ["a {{/* why */}}b", "a b"],
    ["a {{- /* why */ -}} b", "ab"],
    ['{{"{{"}}.Pool}}', "{{.Pool}}"],
    ["{{`{{`}}", "{{"],
    ["{{if .Zone}}z{{else}}none{{end}}", "none"],
    ["{{if .Pool}}p{{end}}", "p"],
    ['{{if eq .Pool "training"}}yes{{end}}', "yes"],
    ['{{if eq .Pool "a" "b" "training"}}yes{{end}}', "yes"],
    ['{{if ne .Pool "training"}}yes{{else}}no{{end}}', "no"],
    ['{{if eq .Pool "x"}}1{{else if .Zone}}2{{else if .Region}}3{{else}}4{{end}}!', "3!"],
    ["{{if and .Pool (not .Zone)}}both{{end}}", "both"],
    ["{{or .Zone .Region}}", "us-west-2"],
    ["{{and .Pool .Region}}", "us-west-2"],
    ['{{printf "--pool=%s --n=%d 100%%" .Pool 3}}', "--pool=training --n=3 100%"],
    ["{{if true}}t{{end}}{{if false}}f{{end}}{{if 0}}0{{end}}", "t"],
  ];
  for (const [text, printed] of cases) {
    test(`prints ${text} as ${printed}`, () => expect(print(text)).toBe(printed));
  }

  test("goes through a list, and says else when it is empty", () => {
    const text = "{{range .Names}}[{{.}} of {{$.Pool}}]{{else}}none{{end}}";
    expect(print(text, { Pool: "p", Names: ["a", "b c"] })).toBe("[a of p]['b c' of p]");
    expect(print(text, { Pool: "p", Names: [] })).toBe("none");
  });

  test("quotes a value, also inside printf, and leaves the author's text alone", () => {
    const values = { Pool: "a b; rm -rf /" };
    expect(print("run {{.Pool}}", values)).toBe("run 'a b; rm -rf /'");
    expect(print('{{printf "x=%s;" .Pool}}', values)).toBe("x='a b; rm -rf /';");
    expect(print('{{if eq .Pool "a b; rm -rf /"}}same{{end}}', values)).toBe("same");
  });

  test("prints nothing for a variable without a value, own properties only", () => {
    expect(print("[{{.Zone}}{{.InstanceID}}]", {})).toBe("[]");
    expect(print("[{{.Pool}}]", Object.create({ Pool: "inherited" }))).toBe("[]");
    expect(parseTemplate("{{.constructor}}").ok).toBe(false);
  });
});

describe("quoteShell()", () => {
  test("makes any text one word that the shell reads back unchanged", async () => {
    const text = fc.string({ unit: "binary", minLength: 1, maxLength: 40 });
    const hostile = fc.constantFrom("$(id)", "`id`", "'; id #", '"', "\\", "a\nb", "!!", "*", "~");
    const word = fc.oneof(text, hostile).filter((one) => !one.includes("\0") && one.isWellFormed());
    const words = fc.sample(word, { numRuns: 300, seed: 7 });
    const script = words.map((one) => `printf '%s\\0' ${quoteShell(one)}`).join("\n");
    const printed = await $`sh -s < ${new Response(script)}`.quiet().text();
    expect(printed.split("\0").slice(0, -1)).toEqual(words);
  });
});

describe("parseTemplate()", () => {
  test("names the line, column and nearest variable", () => {
    expect(parseTemplate("one\n  {{.ControlPlan}}")).toEqual({
      ok: false,
      message: "unknown variable {{.ControlPlan}}",
      hint: "did you mean .ControlPlane?",
      at: { line: 2, col: 5 },
    });
  });

  const faults: [string, string][] = [
    ["{{", "not closed"],
    ["{{.Pool", "not closed"],
    ["{{}}", "empty action"],
    ["{{if .Pool}}", "{{if}} is not closed"],
    ["{{end}}", "without"],
    ["{{else}}", "without"],
    ["{{if .Pool}}{{else}}{{else}}{{end}}", "second"],
    ["{{if}}x{{end}}", "missing"],
    ["{{.Pool.Name}}", "no fields"],
    ["{{.Pool | printf}}", "pipes"],
    ["{{eq .Pool}}", "at least 2"],
    ["{{not .Pool .Zone}}", "needs 1 value"],
    ["{{upper .Pool}}", "unknown function"],
    ["{{with .Pool}}{{end}}", "not supported"],
    ['{{printf "%x" .Pool}}', "cannot do %x"],
    ['{{printf "%s"}}', "1 verbs and 0 values"],
    ["{{printf .Pool}}", "literal format"],
    ["{{range .Pool}}{{end}}", "needs a list"],
    ["{{.}}", "no meaning"],
    ["{{/* x }}", "not closed"],
    ['{{"x}}', "not closed"],
    ["{{(.Pool}}", "not closed"],
    ["{{.Pool .Zone}}", "unexpected"],
    ["{{if .Pool}}".repeat(40), "too deeply"],
  ];
  for (const [text, message] of faults) {
    test(`refuses ${text.slice(0, 40)}`, () => {
      const answer = parseTemplate(text);
      expect(answer.ok ? "parsed" : answer.message).toContain(message);
    });
  }

  test("answers any text, and what it accepts prints", () => {
    const piece = fc.constantFrom(
      ...'{{ }} if else end .Pool . $ eq ( ) " ` - /* */ printf x \n 3 | range %s'.split(" "),
      " ",
    );
    const text = fc.oneof(
      fc.array(piece, { maxLength: 30 }).map((p) => p.join("")),
      fc.string(),
    );
    fc.assert(
      fc.property(text, (given) => {
        const answer = parseTemplate(given);
        if (answer.ok) expect(typeof formatTemplate(answer.template, VALUES)).toBe("string");
        else expect(answer.at.line).toBeGreaterThanOrEqual(1);
      }),
      { numRuns: 3_000 },
    );
  });

  test("is linear in hostile text", () => {
    const start = performance.now();
    for (const part of ["{{- ", " -}}", "{{/*", "{{if .Pool}}{{end}}", " \n", '{{"', "((", "%"]) {
      parseTemplate(part.repeat(60_000 / part.length));
    }
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});

describe("variableEnv()", () => {
  test("gives the environment's name of a variable", () => {
    expect(variableEnv("ControlPlane")).toBe("NAVARCH_CONTROL_PLANE");
    expect(variableEnv("NodeID")).toBe("NAVARCH_NODE_ID");
    expect(variableEnv("KubernetesCAHash")).toBe("NAVARCH_KUBERNETES_CA_HASH");
    expect(variableEnv("AgentSHA256")).toBe("NAVARCH_AGENT_SHA256");
    expect(variableEnv("IPAddress")).toBe("NAVARCH_IP_ADDRESS");
  });
});

describe("fillTemplate()", () => {
  const fill = (text: string, data: unknown): string => {
    const parsed = parseOpenTemplate(text);
    if (!parsed.ok) return `refused: ${parsed.message}`;
    const filled = fillTemplate(parsed.template, data);
    return filled.ok ? filled.text : `failed: ${filled.message}`;
  };

  test("W19: tells which keys had no value, and only those that were printed", () => {
    const parsed = parseOpenTemplate("{{.a}}{{.b.c}}{{if .d}}{{.e}}{{end}}{{or .f 1}}{{.g}}");
    if (!parsed.ok) throw new Error(parsed.message);
    expect(fillTemplate(parsed.template, { g: null, a: 1 })).toEqual({
      ok: true,
      text: "1<no value>1<no value>",
      missing: ["b.c", "g"],
    });
  });

  test("W20: integers keep their digits, and values are not quoted", () => {
    const data = { big: 9_007_199_254_740_993n, text: "a b; rm -rf /", l: [1.5, true, null] };
    expect(fill("{{.big}} {{.text}} {{.l}}", data)).toBe(
      "9007199254740993 a b; rm -rf / [1.5 true <nil>]",
    );
  });

  test("reads own keys alone", () => {
    const text = '{{.constructor}}{{.toString}}{{.__proto__}}{{index . "constructor"}}';
    expect(fill(text, {})).toBe("<no value>".repeat(4));
    expect(fill("{{.a.length}}", { a: "text" })).toBe("failed: cannot read a.length: .a is string");
  });

  test("W18: stops what multiplies", () => {
    const many = Array.from({ length: 1_000 }, (_, at) => at);
    const nested = "{{range $.l}}".repeat(10) + "x" + "{{end}}".repeat(10);
    expect(fill(nested, { l: many })).toStartWith("failed: the template takes more than");
    expect(fill("{{range 9000000000}}{{end}}", {})).toStartWith("failed: range over");
    const doubled = '{{$x := "ab"}}{{range 60}}{{$x = print $x $x}}{{end}}';
    expect(fill(doubled, {})).toStartWith("failed: the template prints more than");
    expect(fill('{{printf "%999999999d" 1}}', {})).toStartWith("failed: printf cannot do");
    const wide = `{{range $.l}}{{range $.m}}{{break}}{{end}}{{end}}`;
    const map = Object.fromEntries(many.map((at) => [`k${at}`, at]));
    expect(fill(wide, { l: many, m: map })).toStartWith("failed: the template takes more than");
  });

  test("answers any template and any data", () => {
    const piece = fc.constantFrom(
      ...'{{ }} if else end range with .a.b $ $x := = . ( ) | , " ` - index len print 3'.split(" "),
      " ",
    );
    const text = fc.array(piece, { maxLength: 30 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, fc.anything({ withBigInt: true, withDate: true }), (given, data) => {
        expect(typeof fill(given, data)).toBe("string");
      }),
      { numRuns: 3_000 },
    );
  });
});
