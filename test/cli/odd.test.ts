/** Odd words, and servers that answer what no control plane would: no crash, no wait, no lie. */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { navarch } from "./spawn.ts";
import { openStub } from "./stub.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-odd-"));
const stub = openStub({ token: null });
afterAll(async () => {
  await stub.close();
  rmSync(folder, { recursive: true });
});

const ASTRAY = [
  ["get", ".."],
  ["cordon", ""],
  ["explain", "pool", "."],
  ["pool", "hold", ".", "--reason", "x"],
  ["pool", "status", ".."],
  ["token", "revoke", ".."],
  ["bootstrap", ""],
];

test.each(ASTRAY.map((words) => ({ words })))("$words asks for nothing else", async ({ words }) => {
  const before = stub.seen.length;
  const { code, out, err } = await navarch([...words, "-s", stub.url]);
  expect({ code, out }).toEqual({ code: 2, out: "" });
  expect(err).toBe('error: an empty name, "." or ".." names nothing\n');
  expect(stub.seen.length).toBe(before);
});

test("what a server says brings no control characters to the terminal", async () => {
  const strange = openStub({ token: null });
  const red = "\u001b[31mred\u0007";
  const all = { id: red, token: red, role: red, pool: red, uses: 1, expires_at: red };
  strange.broken = { status: 200, body: JSON.stringify(all) };
  const lines = await Promise.all(
    [
      ["token", "create", "--role", "viewer"],
      ["token", "revoke", "x"],
      ["token", "revoke", "x", "-o", "name"],
      ["join-token", "create", "--pool", "p"],
      ["join-token", "revoke", "x"],
    ].map((words) => navarch([...words, "-s", strange.url])),
  );
  for (const { code, out, err } of lines) {
    expect(code).toBe(0);
    expect(`${out}${err}`).toContain("red");
    expect(`${out}${err}`).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  }
  await strange.close();
});

test("what a server says is not taken for this program's own colours", async () => {
  const strange = openStub({ token: null });
  const gone = "\u001b[31mred\r\u001b[K";
  const explain = { subject: gone, kind: gone, state: gone, since: null, causes: [], next: null };
  const fleets = { fleet_id: gone, next_id: gone, others: [] };
  const row = { id: 1, at: gone, who: gone, remote: gone, method: gone, path: gone, target: gone };
  const rows = { audit: [{ ...row, code: gone, status: 1, count: 1, request_id: gone }] };
  const attempts = { node_id: gone, phase: gone, attempts: [] };
  for (const [words, answer] of [
    [["explain", "n"], { ...explain, earliest: null, blockers: [] }],
    [["fleet", "list"], fleets],
    [["audit", "--output", "csv"], rows],
    [["bootstrap", "n"], attempts],
    [["bootstrap", "n", "--follow"], attempts],
  ] as const) {
    strange.broken = { status: 200, body: JSON.stringify(answer) };
    const { out, err } = await navarch([...words, "-s", strange.url]);
    expect(`${out}${err}`).toContain("red");
    expect(`${out}${err}`).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  }
  await strange.close();
});

test("a closed port is told alike with TLS and without, and not as a slip of the pen", async () => {
  for (const url of ["http://127.0.0.1:1", "https://127.0.0.1:1"]) {
    const { code, err } = await navarch(["list", "-s", url]);
    expect(code).toBe(5);
    expect(err).toContain("(is the control plane running? set --server or NAVARCH_SERVER)");
  }
});

test("an answer that is a list is none of a control plane", async () => {
  const strange = openStub({ token: null });
  strange.broken = { status: 200, body: "[]" };
  const { code, out, err } = await navarch(["config", "show", "-s", strange.url]);
  expect({ code, out }).toEqual({ code: 5, out: "" });
  expect(err).toContain("is not a Navarch control plane");
  await strange.close();
});

test.each([
  [
    "never ends",
    (): Response => {
      const mebibyte = new Uint8Array(1 << 20).fill(0x20);
      return new Response(new ReadableStream({ pull: (to) => to.enqueue(mebibyte) }));
    },
  ],
  [
    "is small until it is unpacked",
    (): Response => {
      const zeros = Bun.gzipSync(new Uint8Array(300 << 20));
      return new Response(zeros, { headers: { "content-encoding": "gzip" } });
    },
  ],
])("an answer that %s is given up, for its size", async (_name, answer) => {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: answer });
  const { code, out, err } = await navarch(["list", "-s", server.url.origin]);
  await server.stop(true);
  expect({ code, out }).toEqual({ code: 5, out: "" });
  expect(err).toContain("is not a Navarch control plane: the answer is too large");
});

/** A backup from a server that answers like this; what it left in the folder. */
async function backUp(answer: () => Response | Promise<Response>, out = join(folder, "backup")) {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: answer });
  const words = ["backup", "--out", out, "-s", server.url.origin, "--timeout", "400ms"];
  const ended = await navarch(words);
  await server.stop(true);
  return { ...ended, left: readdirSync(folder) };
}

test("navarch backup takes nothing for a database but a database", async () => {
  const page = await backUp(() => new Response("<html>log in</html>"));
  expect(page).toMatchObject({ code: 5, out: "", left: [] });
  expect(page.err).toContain("is not a Navarch control plane: its answer is not a database");
  const away = await backUp(() => Response.redirect("http://elsewhere.invalid/"));
  expect(away).toMatchObject({ code: 5, out: "", left: [] });
  expect(away.err).toContain("it redirects to http://elsewhere.invalid/");
  const head = "SQLite format 3\0and more";
  const file = join(folder, "backup");
  const good = await backUp(() => new Response(head), file);
  expect(good).toMatchObject({ code: 0, err: "", left: ["backup"] });
  expect(readFileSync(file, "utf8")).toBe(head);
  rmSync(file);
});

test("navarch backup waits no longer for the rest of an answer than for its start", async () => {
  const stalled = await backUp(() => {
    const start = (to: ReadableStreamDefaultController) => to.enqueue(new Uint8Array(64));
    return new Response(new ReadableStream({ start }));
  });
  expect(stalled).toMatchObject({ code: 5, out: "", left: [] });
  expect(stalled.err).toContain("no answer within 400ms");
});

test("navarch backup says at once that a file cannot be where it is asked to be", async () => {
  const file = join(folder, "file");
  writeFileSync(file, "");
  for (const out of ["", file, join(file, "below"), join(folder, "none", "x")]) {
    for (const from of [
      ["--state", folder],
      ["-s", stub.url],
    ]) {
      const { code, err } = await navarch(["backup", "--out", out, ...from]);
      expect(code).toBe(2);
      expect(err).toMatch(/^error: --out: .*\n$/);
    }
  }
  expect(existsSync(join(folder, "none"))).toBeFalse();
});

test("the state folder without a slash is told apart from a state", async () => {
  const { code, err } = await navarch(["instances", "--state", "state", "-s", stub.url]);
  expect(code).toBe(3);
  expect(err).toContain('unknown state "state" (provisioning, ');
  expect(err).toEndWith("; for the state folder of a control plane write --state ./state\n");
});

test("replace and terminate say who has cordoned a node, with --yes too", async () => {
  const busy = openStub({ token: null });
  const [node] = busy.nodes;
  if (node === undefined) throw new Error("the stub has no node");
  const { node_id: id } = node;
  node.cordons = { product: null, human: { by: "human:alice", why: "rack work", at: "" } };
  for (const verb of ["replace", "terminate"]) {
    const { err } = await navarch([verb, id, "--yes", "--reason", "x", "-s", busy.url]);
    expect(err).toContain(`warning: node ${id} is cordoned by human:alice: rack work\n`);
  }
  await busy.close();
});

test("audit says that nobody is called so, and when there are older rows", async () => {
  const told = openStub({ token: null });
  const answer = async (page: object, ...more: string[]) => {
    told.broken = { status: 200, body: JSON.stringify(page) };
    return navarch(["audit", ...more, "-s", told.url]);
  };
  const nobody = await answer({ audit: [], authors: [], older: false }, "--by", "carol");
  expect(`${nobody.out}${nobody.err}`).toBe("Nothing found: no author or token is called carol\n");
  const idle = await answer({ audit: [], authors: ["token:carol-1"], older: false });
  expect(`${idle.out}${idle.err}`).toBe("Nothing found\n");
  const row = { id: 1, at: "", until: "", count: 1, who: "admin", method: "POST", path: "/" };
  const older = await answer({ audit: [{ ...row, code: "ok", remote: "" }], older: true });
  expect(older.err).toBe(
    "note: 1 row, the newest; for older ones raise --limit, or narrow with --since\n",
  );
  await told.close();
});
