/** The small texts people write: durations, addresses, flags, names; and templates of commands. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import { parseAddress } from "../../agent/report/address.ts";
import { parseTemplate } from "../../bootstrap/template/parse.ts";
import { formatTemplate } from "../../bootstrap/template/print.ts";
import { TEMPLATE_VARIABLES } from "../../bootstrap/template/variable.ts";
import { parseServer } from "../../cli/address.ts";
import { readConfig } from "../../reconciler/config/read.ts";
import { parseDuration, formatDuration } from "../../schema/duration.ts";
import { parseFlags } from "../../schema/flag.ts";
import { BootId, CommandId, InstanceId, NodeId, PoolName, StreamId } from "../../schema/id.ts";
import { nearest } from "../../schema/nearest.ts";
import { PATIENCE_MS, runs } from "./runs.ts";
import { withCpuMs } from "../cpu-time.ts";

const noise = fc.oneof(fc.string({ maxLength: 40 }), fc.string({ unit: "binary", maxLength: 40 }));
const long = (part: string): string => part.repeat(200_000 / part.length);

/** `work` on `text` within a fifth of a second of CPU. */
function quick<T>(text: string, work: () => T): T {
  const { result, cpuMs } = withCpuMs(work);
  if (cpuMs > 200) throw new Error(`${Math.round(cpuMs)} ms: ${text.slice(0, 60)}`);
  return result;
}

test(
  "parseDuration() answers any text; what it takes is an instant's distance and prints back",
  () => {
    const part = fc.constantFrom(
      ..."0 1 00 1.5 .5 99999999999999999999 1e3 - + ns us µs ms s m h d w . , _ \t".split(" "),
      " ",
    );
    const made = fc.array(part, { maxLength: 8 }).map((all) => all.join(""));
    fc.assert(
      fc.property(fc.oneof(made, noise), (text) => {
        const answer = parseDuration(text);
        if (!answer.ok) return expect(answer.message).not.toBe("");
        expect(Number.isSafeInteger(answer.ms) && answer.ms >= 0).toBe(true);
        // Four digits of a year: later ones have another form.
        expect(new Date(Date.UTC(2100, 0) + answer.ms).toISOString()).toMatch(/^\d{4}-/);
        expect(parseDuration(formatDuration(answer.ms))).toEqual(answer);
      }),
      runs(4_000),
    );
    for (const text of [long("9"), long("1h"), long("1."), long(" "), long("-")]) {
      quick(text, () => parseDuration(text));
    }
  },
  PATIENCE_MS,
);

test(
  "ids take what they say and nothing else, whatever the length",
  () => {
    const ids = [NodeId, InstanceId, PoolName, CommandId, BootId, StreamId];
    const edge = fc.constantFrom(
      "a".repeat(128),
      "a".repeat(129),
      long("a"),
      "a\n",
      "-a",
      "a b",
      "",
    );
    fc.assert(
      fc.property(fc.oneof(noise, edge, fc.jsonValue()), (given) => {
        for (const id of ids) {
          const parsed = quick(typeof given === "string" ? given : "no text", () =>
            v.safeParse(id, given),
          );
          if (parsed.success) expect(parsed.output).toMatch(/^[\x21-\x7e]{1,128}$/);
        }
      }),
      runs(1_500),
    );
  },
  PATIENCE_MS,
);

test(
  "parseAddress() and parseServer() answer any text and never repeat a password",
  () => {
    const piece = fc.constantFrom(
      ..."http https ws ftp :// : / // [ ] ::1 fe80::1%eth0 localhost h 50051 0 65536 ? # @ \\ % .".split(
        " ",
      ),
      "hunter2:hunter2@",
      "é",
      " ",
    );
    const made = fc.array(piece, { maxLength: 7 }).map((all) => all.join(""));
    fc.assert(
      fc.property(fc.oneof(made, noise), (text) => {
        const agent = parseAddress(text, "--server");
        const cli = parseServer(text);
        if (agent.ok) expect(URL.canParse(agent.base)).toBe(true);
        if (cli.ok) expect(URL.canParse(cli.url)).toBe(true);
        if (!cli.ok) expect(cli.message).not.toContain("hunter2");
        const authority =
          text
            .trim()
            .replace(/^[a-z]+:\/\//, "")
            .split("/")[0] ?? "";
        if (!authority.includes("@")) return;
        expect(JSON.stringify(agent)).not.toContain("hunter2");
      }),
      runs(4_000),
    );
    for (const text of [
      long(":"),
      long("["),
      long("a."),
      long("/"),
      long("a"),
      `http://${long("-")}`,
    ]) {
      quick(text, () => parseAddress(text, "--server"));
      quick(text, () => parseServer(text));
    }
  },
  PATIENCE_MS,
);

test(
  "parseFlags() answers any words and never repeats a value",
  () => {
    const specs = {
      token: { kind: "text" },
      on: { kind: "switch", short: "o" },
      label: { kind: "list", env: ["L"] },
      constructor: { kind: "text" },
    } as const;
    const word = fc.oneof(
      fc.constantFrom(
        ..."--token -token --token= --on --on=maybe -o -o=1 --label --label=a=b --tokn -- - --- -1 ?".split(
          " ",
        ),
        ...["--__proto__", "--toString=1", "-", "", "--=x", "--token=hunter2", "--tokn=hunter2"],
      ),
      noise,
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (argv) => {
        const parsed = parseFlags(specs, argv, { L: "x" });
        if (!parsed.ok) {
          expect(parsed.message).not.toContain("hunter2");
          return expect(parsed.message).not.toBe("");
        }
        expect(Object.keys(parsed.values).sort()).toEqual(Object.keys(specs).sort());
      }),
      runs(4_000),
    );
  },
  PATIENCE_MS,
);

test(
  "nearest() answers any pair within a bounded time",
  () => {
    const names = ["server", "pools", "providers", "x".repeat(300)];
    fc.assert(
      fc.property(noise, (given) => {
        const found = nearest(given, names);
        if (found !== null) expect(names).toContain(found);
      }),
      runs(1_000),
    );
    for (const text of [long("s"), "x".repeat(299)]) quick(text, () => nearest(text, names));
  },
  PATIENCE_MS,
);

test(
  "parseTemplate() answers any text; what it takes prints, and quotes what it is given",
  () => {
    const words = [
      ..."{{ }} {{- -}} if else end range eq ne and or not printf with .Pool .Zone .Poo $.Pool . $".split(
        " ",
      ),
      ...['"x"', "`y`", '"%s"', '"%d%%"', "(", ")", "|", "1", "-1", "true", "/*", "*/", " ", "\n"],
    ];
    const actions = fc.constantFrom(
      "{{.Pool}}",
      "{{if .Zone}}",
      "{{else}}",
      "{{else if eq .Pool .Zone}}",
      "{{end}}",
      '{{printf "%s-%v" .Pool 1}}',
      "{{or .Zone .Pool}}",
      "{{- /* c */ -}}",
      " x ",
    );
    const text = fc.oneof(
      fc.array(fc.constantFrom(...words), { maxLength: 25 }).map((all) => all.join("")),
      fc.array(actions, { maxLength: 15 }).map((all) => all.join("")),
      noise,
    );
    const evil = "'; $(hunter2)";
    const values = Object.fromEntries(Object.keys(TEMPLATE_VARIABLES).map((name) => [name, evil]));
    let taken = 0;
    fc.assert(
      fc.property(text, (given) => {
        const answer = parseTemplate(given);
        if (answer.ok) {
          taken++;
          const printed = formatTemplate(answer.template, values);
          formatTemplate(answer.template, {});
          return expect(printed.replaceAll("''\\''; $(hunter2)'", "")).not.toContain("hunter2");
        }
        const { line, col } = answer.at;
        expect(line >= 1 && line <= given.split("\n").length && col >= 1).toBe(true);
        expect(answer.message).not.toBe("");
      }),
      runs(4_000),
    );
    expect(taken).toBeGreaterThan(100);
    for (const part of [
      "{{",
      "{{if .Pool}}",
      "{{(",
      "{{/*",
      '{{printf "%s',
      "{{else}}",
      "}}",
      "{{- ",
    ]) {
      quick(part, () => parseTemplate(long(part)));
    }
  },
  PATIENCE_MS,
);

test(
  "readConfig() takes a share of 0 to 100 % or a number of nodes, and names the path of others",
  () => {
    const share = fc.oneof(
      fc.constantFrom(
        "20%",
        "0%",
        "100%",
        "100.5%",
        "-1%",
        "%",
        "1e2%",
        "20 %",
        "٢٠%",
        "20",
        "1.5",
      ),
      fc.stringMatching(/^[0-9.+-]{0,6} ?%?$/),
      noise,
    );
    fc.assert(
      fc.property(share, (given) => {
        const text =
          "providers: {f: {type: fake}}\npools: [{name: p, provider: f, instance_type: t, scaling: " +
          `{min_nodes: 0, max_nodes: 2}, health: {max_unavailable: ${JSON.stringify(given)}}}]\n`;
        const { config, problems } = readConfig([{ name: "c", text }]);
        const percent = /^(\d+(?:\.\d+)?)\s*%$/.exec(given)?.[1];
        const isGood = percent !== undefined && Number(percent) <= 100;
        const paths = problems.filter((one) => one.severity === "error").map((one) => one.path);
        expect([given, paths]).toEqual([given, isGood ? [] : ["pools[0].health.max_unavailable"]]);
        expect(config !== null).toBe(isGood);
      }),
      runs(600),
    );
  },
  PATIENCE_MS,
);
