/** Metrics sources over real sockets and processes, and every way in which one is no number. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PoolName } from "../../schema/id.ts";
import { external } from "../../test/world/autoscaler.ts";
import type { MetricAnswer } from "../core/scaling/metric.ts";
import type { External } from "../core/scaling/external.ts";
import { issue, makeAuthority } from "../security/tls/certificate.ts";
import { pointAt } from "./pointer.ts";
import { readQuery } from "./prometheus.ts";
import { openMetricReader } from "./read.ts";

const root = mkdtempSync(join(tmpdir(), "navarch-metric-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const POOL = { name: "train" as PoolName, desired: 3, min: 1, max: 9 };
const clock = {
  after(ms: number, work: () => void) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};
const env = { PATH: process.env["PATH"] ?? "", TOKEN: "s3cret", EMPTY: "", NAVARCH_X: "ours" };
const read = openMetricReader({ env, clock });

let files = 0;
function file(text: string): string {
  const path = join(root, `file-${(files += 1)}`);
  writeFileSync(path, text);
  return path;
}
const script = (body: string): string => {
  const path = file(`#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
};
const said = (answer: MetricAnswer) => (answer.kind === "value" ? answer.value : answer.message);

/** What the source says of a server that answers with `reply`. */
async function get(reply: Response | ((request: Request) => Response), more: Partial<External>) {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request) => (reply instanceof Response ? reply : reply(request)),
  });
  try {
    const url = `http://127.0.0.1:${server.port}/doc`;
    const answer = await read(external(null, { url, timeoutMs: 5_000, ...more }), POOL);
    return String(said(answer)).replace(`127.0.0.1:${server.port}`, "HOST");
  } finally {
    await server.stop(true);
  }
}
const http: Partial<External> = { source: "http", pointer: "/a/0/b~1c" };
const json = (value: unknown, status = 200) => Response.json(value, { status });

describe("source http", () => {
  test.each([
    ["a number", json({ a: [{ "b/c": 7.5 }] }), "7.5"],
    ["zero", json({ a: [{ "b/c": 0 }] }), "0"],
    ["a text", json({ a: [{ "b/c": "7" }] }), "the value is no number"],
    ["a negative number", json({ a: [{ "b/c": -1 }] }), "the value is negative"],
    ["null", json({ a: [{ "b/c": null }] }), "the value is no number"],
    ["infinity", new Response('{"a":[{"b/c":1e999}]}'), "the value is Infinity"],
    ["another document", json({ a: [] }), "the document has no /a/0"],
    ["HTML", new Response("<html>"), 'HOST: HTTP 200, expected JSON, found "<html>"'],
    ["nothing", new Response(""), "HOST: HTTP 200, expected JSON, found nothing"],
    ["an error", json({ a: [{ "b/c": 7 }] }, 503), "HTTP 503"],
    ["no permission", new Response("no", { status: 401 }), "HOST: HTTP 401; check the token"],
    [
      "a long document",
      new Response(" ".repeat(1_100_000)),
      "HOST: the reply is longer than 1 MiB",
    ],
    [
      "a redirect",
      Response.redirect("http://127.0.0.1:1/x", 302),
      "HOST: HTTP 302, a redirect, which is not followed; check url",
    ],
  ])("%s", async (_, reply, expected) => expect(await get(reply, http)).toBe(expected));

  test("a server that hangs, and none at all", async () => {
    const hangs = () =>
      new Response(new ReadableStream({ pull: () => new Promise(() => undefined) }));
    expect(await get(hangs, { ...http, timeoutMs: 200 })).toContain("no answer within 0.2 s");
    const none = await read(external(null, { ...http, url: "http://127.0.0.1:1/x" }), POOL);
    expect(String(said(none))).toMatch(/^127\.0\.0\.1:1: (ConnectionRefused|ECONNREFUSED)$/);
  });

  test("the token goes in the header only, from the environment or a file read each time", async () => {
    const shows = (request: Request) => {
      const text = request.headers.get("authorization") ?? "none";
      return new Response(text, { status: 200 });
    };
    expect(await get(shows, http)).toContain('found "none"');
    expect(await get(shows, { ...http, tokenEnv: "TOKEN" })).toContain("Bearer s3cret");
    const path = file("first\n");
    expect(await get(shows, { ...http, tokenFile: path })).toContain("Bearer first");
    writeFileSync(path, "second\n");
    const basic = Buffer.from("ada:second").toString("base64");
    expect(await get(shows, { ...http, tokenFile: path, username: "ada" })).toContain(basic);
  });

  test.each([
    [{ tokenEnv: "EMPTY" }, "token_env EMPTY is empty"],
    [{ tokenFile: "/nowhere" }, "token_file /nowhere cannot be read"],
    [{ caFile: "/nowhere" }, "ca_file /nowhere cannot be read"],
  ])("%o", async (more, message) => {
    expect(await get(json({}), { ...http, ...more })).toBe(message);
  });

  test("a token of two lines is refused, and not repeated", async () => {
    const answer = await get(json({}), { ...http, tokenFile: file("one\ntwo") });
    expect(answer).toContain("is not printable ASCII");
    expect(answer).not.toContain("two");
  });

  test("TLS is checked against the authority's file", async () => {
    const span = { fromMs: Date.now() - 60_000, untilMs: Date.now() + 3_600_000 };
    const authority = makeAuthority({ name: "test", ...span });
    const pair = issue(authority, { name: "here", hosts: ["127.0.0.1"], ...span });
    const tls = { cert: pair.certificate, key: pair.key };
    const fetch = () => Response.json({ n: 4 });
    const server = Bun.serve({ port: 0, hostname: "127.0.0.1", tls, fetch });
    const url = `https://127.0.0.1:${server.port}/`;
    const from = external(null, { ...http, url, pointer: "/n" });
    expect(said(await read({ ...from, caFile: file(authority.certificate) }, POOL))).toBe(4);
    expect((await read(from, POOL)).kind).toBe("failed");
    await server.stop(true);
  });
});

describe("source prometheus", () => {
  const vector = (...values: unknown[]) => ({
    status: "success",
    data: {
      resultType: "vector",
      result: values.map((value) => ({ metric: {}, value: [1, value] })),
    },
  });
  test.each([
    ["one result", vector("17"), 17],
    ["a float", vector("0.25"), 0.25],
    ["an exponent", vector("1e+06"), 1_000_000],
    ["a scalar", { status: "success", data: { resultType: "scalar", result: [1, "3"] } }, 3],
    ["no result", vector(), "the query has no result"],
    ["two results", vector("1", "2"), "the query has 2 results, one is needed: use sum() or max()"],
    ["NaN", vector("NaN"), "the value is NaN"],
    ["+Inf", vector("+Inf"), "the value is +Inf"],
    ["-Inf", vector("-Inf"), "the value is -Inf"],
    ["negative", vector("-1"), "the value is negative"],
    ["an empty text", vector(""), "the value is "],
    [
      "a number that is no text",
      vector(3),
      "the reply is not that of an instant query with one number",
    ],
    [
      "a matrix",
      { status: "success", data: { resultType: "matrix", result: [] } },
      "the reply is not that of an instant query with one number",
    ],
    [
      "an error",
      { status: "error", errorType: "bad_data", error: "parse error" },
      "bad_data: parse error",
    ],
  ])("%s", (_, reply, expected) => expect(said(readQuery(reply))).toBe(expected));

  test("asks below the path of its address, with the query encoded", async () => {
    const shows = ({ url }: Request) => new Response(new URL(url).pathname + new URL(url).search);
    const asked = await get(shows, { query: 'sum(up{job="a b"})' });
    expect(asked).toContain("/doc/api/v1/query?query=sum%28up%7Bjob%3D");
  });
});

describe("source command", () => {
  const run = async (body: string, timeoutMs = 20_000): Promise<string> => {
    const command = script(body);
    const answer = await read(external(null, { source: "command", command, timeoutMs }), POOL);
    return String(said(answer)).replace(`${command}: `, "");
  };

  test("gets the pool as one line of JSON, and none of our variables", async () => {
    const seen = join(root, "seen");
    const body = `cat >${seen}; env >>${seen}; echo '{"version":1,"value":12.5}'`;
    expect(await run(body)).toBe("12.5");
    const text = await Bun.file(seen).text();
    const [line = "", ...rest] = text.split("\n");
    const pool = { pool: "train", desired: 3, min_nodes: 1, max_nodes: 9 };
    expect(JSON.parse(line)).toEqual({ version: 1, ...pool });
    expect(rest.join()).not.toContain("NAVARCH_");
  });

  test.each([
    ["its own error", `echo '{"version":1,"error":{"message":"no lease"}}'; exit 1`, "no lease"],
    ["nothing", "cat >/dev/null", "expected one JSON object, found nothing"],
    ["garbage", "echo Traceback", 'expected one JSON object, found "Traceback"'],
    ["another version", `echo '{"version":2,"value":1}'`, "version: must be 1"],
    ["a text", `echo '{"version":1,"value":"1"}'`, "value: Invalid type"],
    ["a negative number", `echo '{"version":1,"value":-3}'`, "the value is negative"],
    [
      "a failure after a number",
      `echo '{"version":1,"value":3}'; echo boom >&2; exit 3`,
      "exit status 3",
    ],
    ["a signal", "kill -9 $$", "killed by SIGKILL"],
  ])("%s is no reading", async (_, body, message) => {
    expect(await run(body)).toContain(message);
  });

  test("a program that hangs is ended", async () => {
    expect(await run("sleep 60", 200)).toBe("no answer within 0.2 s");
  });

  test("a program that is missing", async () => {
    const command = join(root, "none");
    const answer = await read(external(null, { source: "command", command }), POOL);
    expect(said(answer)).toBe(`${command}: could not be started (ENOENT)`);
  });
});

// RFC 6901, section 5.
test("pointAt() is that of the RFC's examples", () => {
  const document = { foo: ["bar", "baz"], "": 0, "a/b": 1, "m~n": 8, " ": 7, 'k"l': 6 };
  const found = ["", "/foo", "/foo/0", "/", "/a~1b", "/m~0n", "/ ", '/k"l'].map((pointer) =>
    pointAt(document, pointer),
  );
  const values = [document, ["bar", "baz"], "bar", 0, 1, 8, 7, 6].map((value) => ({ value }));
  expect(found).toEqual(values);
  expect(pointAt(document, "/foo/2/x")).toEqual({ at: "/foo/2" });
  expect(pointAt(document, "/constructor")).toEqual({ at: "/constructor" });
});
