/** Workflow templates print byte for byte what Go's text/template prints, and fail where it fails. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseOpenTemplate } from "../../../bootstrap/template/parse.ts";
import { fillTemplate } from "../../../bootstrap/template/print.ts";
import { type Asked, openOracle } from "./oracle.ts";

const oracle = await openOracle();
const missing = typeof oracle === "string" && process.env["CI"] !== "true" ? oracle : null;
if (missing !== null) console.error(`skipped: templates against Go: ${missing}`);

type Filling = Extract<Asked, { text: string }>;

/** What ours prints, or why it is refused. */
function ours({ text, data }: Filling): { out: string | null; why: string } {
  const parsed = parseOpenTemplate(text);
  if (!parsed.ok) return { out: null, why: parsed.message };
  const filled = fillTemplate(parsed.template, data);
  return filled.ok ? { out: filled.text, why: "" } : { out: null, why: filled.message };
}

async function compare(asked: readonly Filling[]): Promise<void> {
  if (typeof oracle === "string") throw new Error(oracle);
  const judged = await oracle(asked);
  expect(judged.length).toBe(asked.length);
  const wrong = asked.flatMap((one, at) => {
    const { out = "", err = "" } = judged[at] ?? {};
    const [got, wanted] = [ours(one), err === "" ? out : null];
    return got.out === wanted ? [] : [{ text: one.text, ...got, wanted, err }];
  });
  expect(wrong.slice(0, 5)).toEqual([]);
}

/** Keys that exist, of each type, and one that does not. */
const KEY = fc.constantFrom("t", "e", "i", "z", "f", "b", "m", "l", "n", "o", "_NAME_", "gone");
const KEYED = fc.oneof(
  KEY,
  fc.tuple(KEY, KEY).map((path) => path.join(".")),
);
const LITERAL = fc.oneof(
  fc.constantFrom('"a"', '""', "`r\\n`", "0", "1", "-7", "010", "0x1f", "1.5", "true", "false"),
  fc.constantFrom('"%d|%s"', '"q\\t\\x41\\u00e9"', "12", "1e6", "100000.0"),
);
const TEXT = fc.constantFrom("x", " ", "\n", "  \n", "}", "{", "é", "a: b", "- ");
const LEFT = fc.constantFrom("{{", "{{ ", "{{- ");
const RIGHT = fc.constantFrom("}}", " }}", " -}}");
const FORMAT = fc
  .array(fc.constantFrom("%v", "%s", "%d", "%q", "%t", "%5d|", "%-4s|", "%03d", "%.2f", "%%", "-"))
  .map((parts) => JSON.stringify(parts.join("")));

const { value } = fc.letrec<{ value: string; operand: string; argument: string }>((tie) => ({
  argument: fc.oneof(
    { weight: 9, arbitrary: tie("operand") },
    { weight: 1, arbitrary: fc.constant("nil") },
  ),
  operand: fc.oneof(
    { maxDepth: 3, depthIdentifier: "value" },
    KEYED.map((key) => `.${key}`),
    KEY.map((key) => `$.${key}`),
    LITERAL,
    fc.constantFrom(".", "$", "$v"),
    tie("value").map((inner) => `(${inner})`),
    fc.tuple(tie("value"), KEY).map(([inner, key]) => `(${inner}).${key}`),
  ),
  value: fc.oneof(
    { maxDepth: 3, depthIdentifier: "value" },
    tie("operand"),
    fc
      .constantFrom(
        "eq 2",
        "eq 3",
        "ne 2",
        "lt 2",
        "le 2",
        "gt 2",
        "ge 2",
        "and 2",
        "or 3",
        "not 1",
        "len 1",
        "index 2",
        "index 3",
      )
      .chain((call) => {
        const [name = "", count = "1"] = call.split(" ");
        const some = { minLength: Number(count), maxLength: Number(count) };
        return fc.array(tie("argument"), some).map((args) => [name, ...args].join(" "));
      }),
    fc
      .tuple(fc.constantFrom("print", "println"), fc.array(tie("argument"), { maxLength: 4 }))
      .map(([call, args]) => [call, ...args].join(" ")),
    fc
      .tuple(FORMAT, fc.array(tie("argument"), { maxLength: 3 }))
      .map(([format, args]) => ["printf", format, ...args].join(" ")),
    fc
      .tuple(tie("value"), fc.constantFrom("print", "println 1", 'printf "%v"'))
      .map((p) => p.join(" | ")),
  ),
}));

const action = (inside: fc.Arbitrary<string>) =>
  fc.tuple(LEFT, inside, RIGHT).map((parts) => parts.join(""));
const end = action(fc.constant("end"));

const { body } = fc.letrec<{ body: string; part: string }>((tie) => ({
  body: fc.array(tie("part"), { maxLength: 4 }).map((parts) => parts.join("")),
  part: fc.oneof(
    { maxDepth: 3, depthIdentifier: "part" },
    TEXT,
    action(value),
    action(fc.tuple(fc.constantFrom("$v := ", "$v = ", "$w := "), value).map((p) => p.join(""))),
    fc
      .tuple(fc.constantFrom("{{", "{{- "), fc.constantFrom("/* c */}}", "/* c */ -}}"))
      .map((p) => p.join("")),
    fc.tuple(action(value.map((one) => `if ${one}`)), tie("body"), end).map((p) => p.join("")),
    fc
      .tuple(
        action(value.map((one) => `if ${one}`)),
        tie("body"),
        action(value.map((one) => `else if ${one}`)),
        tie("body"),
        action(fc.constant("else")),
        tie("body"),
        end,
      )
      .map((p) => p.join("")),
    fc
      .tuple(
        action(
          fc
            .tuple(
              fc.constantFrom("range ", "with ", "range $k, $v := ", "range $v := ", "with $v := "),
              fc.oneof(fc.constantFrom(".m", ".l", "$.m", "$.l", ".n"), value),
            )
            .map((p) => p.join("")),
        ),
        tie("body"),
        fc.oneof(fc.constant(""), fc.constantFrom("{{break}}", "{{$k}}={{$v}} ", "{{continue}}")),
        action(fc.constant("else")),
        tie("body"),
        end,
      )
      .map((p) => p.join("")),
  ),
}));

const DATA = {
  t: "text",
  e: "",
  i: 3,
  z: 0,
  f: 2.5,
  b: true,
  m: { "nvidia.com/gpu": 8, a: "x", é: null, Z: [1], t: { t: "deep" } },
  l: ["b", "a", 1, null, { t: 5 }],
  n: null,
  o: {},
  _NAME_: "job1",
};

describe.skipIf(missing !== null)("templates and Go's text/template", () => {
  test("W18: what workflow templates need prints alike", async () => {
    const texts = [
      '{{.t}}{{.gone}}{{or .gone "d"}}{{or .namespace `default`}}',
      "{{- if .gone }}a{{ else if .t }} b {{- else }}c{{ end -}}  d",
      "{{range $k,$v := .m}}{{$k}}: {{$v}};{{end}}{{range .l}}[{{.}}]{{end}}",
      '{{range $key, $value := .o}}x{{else}}none{{end}}{{printf "%s-%d" .t .i}}',
      '{{/* c */ -}}  x {{- /* d */}}{{.m.t.t}}{{index .m "a"}}{{len .l}}',
      "{{$v := 1}}{{if .b}}{{$v = 2}}{{$v := 3}}{{end}}{{$v}}{{.m}}{{.l}}",
      '{{"{{"}}.x}}{{`a`}}{{-7}}{{printf "%v %v" .gone nil}}{{.i | printf "%03d"}}',
    ];
    await compare(texts.map((text) => ({ text, data: DATA })));
  });

  test("W18: any template of the subset prints alike, or is refused by both", async () => {
    const asked = fc
      .sample(body, { numRuns: 6_000, seed: 20_260_729 })
      .map((text) => ({ text: `{{$v := "v"}}{{$k := 0}}${text}`, data: DATA }));
    await compare(asked);
  }, 60_000);

  test("W19: numbers, and what has no value, print alike", async () => {
    const number = fc.oneof(
      fc.maxSafeInteger(),
      fc.double({ noNaN: true, noDefaultInfinity: true }).filter((one) => !Number.isInteger(one)),
    );
    const asked = fc.sample(number, { numRuns: 2_000, seed: 5 }).map((one) => ({
      text: '{{.x}} {{.l}} {{printf "%v" .x}} {{.gone}}',
      data: { x: one, l: [one, null] },
    }));
    await compare(asked);
  });
});
