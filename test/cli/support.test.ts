/**
 * `support dump` of a whole control plane behind a real socket, and `simulate replay` of the file by
 * a process of its own.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openWorldApp, type WorldApp } from "../world/app.ts";
import { closeWorlds, fleet, threshold } from "../world/story.ts";
import { json, navarch } from "./spawn.ts";

const TOKEN = "abcdef.0123456789abcdef";
const folder = mkdtempSync(join(tmpdir(), "navarch-support-"));
const saved = join(folder, "saved.jsonl");
let server: ReturnType<typeof Bun.serve>;
let app: WorldApp;
let sick = "";

beforeAll(async () => {
  const joins = `    setup_commands: ["kubeadm join --token ${TOKEN}"]\n    ssh_private_key_path: /nowhere/key\n`;
  const world = await fleet(3, `${threshold(2)}${joins}`);
  [sick = ""] = world.serving();
  world.xid(sick, 79);
  await world.live(60);
  app = openWorldApp(world);
  const { fetch } = app.app;
  server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: (request) => fetch(request) });
});

afterAll(async () => {
  await server.stop(true);
  await closeWorlds();
  rmSync(folder, { recursive: true, force: true });
});

const dump = (out: string, more: string[] = [], token = "root") =>
  navarch(["support", "dump", "--out", out, "-s", `http://127.0.0.1:${server.port}`, ...more], {
    NAVARCH_AUTH_TOKEN: token,
  });

describe("navarch support dump", () => {
  test("saves what was decided last, for its owner only and without secrets", async () => {
    const { code, out, err } = await dump(saved, ["--last", "40"]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toBe(`${saved}  ${statSync(saved).size} bytes\n`);
    expect(statSync(saved).mode & 0o777).toBe(0o600);
    const text = readFileSync(saved, "utf8");
    expect(text).not.toContain(TOKEN);
    expect(text).toContain(sick);
    const kinds = text
      .trimEnd()
      .split("\n")
      .map((line) => (json(line) as { kind: string }).kind);
    expect(kinds[0]).toBe("navarch.activations");
    expect(kinds.at(-1)).toBe("end");
    expect(kinds.filter((kind) => kind === "activation").length).toBeGreaterThan(5);
  });

  test("is an administrator's, and is in the audit", async () => {
    const made = await app.call("POST", "/v1/tokens", { role: "operator", label: "o" });
    const refused = await dump(join(folder, "no"), [], String(made.body["token"]));
    expect(refused.code).toBe(4);
    expect(refused.err).toContain("this needs admin");
    expect(existsSync(join(folder, "no"))).toBe(false);
    const { body } = await app.call("GET", "/v1/audit");
    const calls = (body["audit"] as unknown as { path: string; code: string }[]).map(
      ({ path, code }) => `${path} ${code}`,
    );
    expect(calls).toContain("/api/v1/admin/activations ok");
  });

  test.each([["0"], ["65"], ["x"], ["-1"]])("refuses --last %s", async (last) => {
    const { code, err } = await dump(join(folder, "no"), [`--last=${last}`]);
    expect(code).toBe(2);
    expect(err).toContain("--last: expected a whole number from 1 to 64");
    const { status } = await app.call("POST", `/v1/admin/activations?last=${last}`);
    expect(status).toBe(400);
  });

  test("overwrites nothing", async () => {
    const { code, err } = await dump(saved);
    expect(code).toBe(2);
    expect(err).toContain("exists already");
  });
});

describe("navarch simulate replay", () => {
  test("decides the file as it was decided", async () => {
    const { code, out, err } = await navarch(["simulate", "replay", saved]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/^\d+ activations, saved by navarch \S+ \(dev\) at \S+\n/);
    expect(out).toMatch(/\n\d+ decided as they were, 0 otherwise\n$/);
  });

  test("shows what is decided otherwise, with exit 1", async () => {
    const other = join(folder, "other.jsonl");
    const text = readFileSync(saved, "utf8");
    writeFileSync(other, text.replace('"unhealthyThreshold":2', '"unhealthyThreshold":9'));
    const people = await navarch(["simulate", "replay", other]);
    expect(people.code).toBe(1);
    expect(people.out).toContain(`  node ${sick}, round 1\n`);
    expect(people.out).toMatch(/\n    saved: effect drain: \S/);
    expect(people.out).toMatch(/\n    now:   wait \(threshold\): 2 of 9 /);
    const { code, out } = await navarch(["simulate", "replay", other, "-o", "json"]);
    expect(code).toBe(1);
    const told = json(out) as { different: { differences: { subject: string }[] }[] };
    expect(told.different[0]?.differences[0]?.subject).toBe(`node ${sick}`);
  });

  test("names file, line and path of what it cannot use, with exit 2", async () => {
    const bad = join(folder, "bad.jsonl");
    const lines = readFileSync(saved, "utf8").split("\n");
    const at = lines.findIndex((line) => line.startsWith('{"kind":"node"'));
    writeFileSync(bad, lines.with(at, lines[at]?.replace('"gen":', '"gun":') ?? "").join("\n"));
    const broken = await navarch(["simulate", "replay", bad]);
    expect(broken.code).toBe(2);
    expect(broken.err).toContain(`${bad}:${at + 1}: node.gen: `);
    const missing = await navarch(["simulate", "replay", join(folder, "none")]);
    expect(missing.code).toBe(2);
    expect(missing.err).toContain("no such file");
  });
});
