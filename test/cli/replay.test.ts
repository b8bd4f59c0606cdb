/**
 * `policy test --replay` against a whole control plane behind a real socket: what it recorded is
 * replayed through a candidate, and the answer is what the control plane itself did and would do.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { World } from "../world/world.ts";
import { openWorldApp } from "../world/app.ts";
import { closeWorlds, fleet, threshold } from "../world/story.ts";
import { json, navarch } from "./spawn.ts";

type Told = {
  findings: number;
  summary: Record<string, number>;
  touched: { node_id: string; change: string; candidate: object | null; active: object | null }[];
  rules: { rule: string; candidate: { hits: number; shadow_hits: number } }[];
};

let folder = "";
let world: World;
let server: ReturnType<typeof Bun.serve>;
let ids: string[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "navarch-replay-"));
  world = await fleet(3, threshold(2));
  ids = world.serving();
  const { app } = openWorldApp(world);
  server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: (request) => app.fetch(request) });
  const [sick = "", busy = ""] = ids;
  world.xid(sick, 79);
  world.xid(busy, 13);
  await world.live(30);
});

afterEach(async () => {
  await server.stop(true);
  await closeWorlds();
  rmSync(folder, { recursive: true, force: true });
});

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** Takes every XID 13 for a dead GPU, which the built-in policy does not. */
const strict = (more = ""): string => `rules:
  - name: any
    condition: has(event.metrics.xid_code) && event.metrics.xid_code in [13, 79]
    result: unhealthy
    hold: until_reset
${more}  - { name: rest, condition: "true", result: healthy }
`;

const SINCE = "2000-01-01T00:00:00Z";
const tried = (policy: string, ...more: string[]) =>
  navarch(["policy", "test", policy, "-s", `http://127.0.0.1:${server.port}`, ...more], {
    NAVARCH_AUTH_TOKEN: "root",
  });

describe("navarch policy test --replay", () => {
  test("shows which nodes a stricter candidate would touch beside the active policy", async () => {
    const path = file("strict.yaml", strict());
    const { code, out, err } = await tried(path, "--replay", SINCE, "-o", "json");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const told = json(out) as Told;
    const [sick = "", busy = ""] = ids;
    expect(told.findings).toBe(2);
    expect(told.summary).toEqual({
      candidate: 2,
      active: 1,
      only_candidate: 1,
      only_active: 0,
      both: 1,
    });
    expect(told.touched.map((one) => [one.node_id, one.change])).toEqual([
      [busy, "only_candidate"],
      [sick, "both"],
    ]);
    // What the replay says of the active policy is what the control plane did.
    expect(world.story(sick)).toContain("node.cordoned");
    expect(world.story(busy)).not.toContain("node.cordoned");
  });

  test("ends with 8 on request when the candidate would touch more", async () => {
    const path = file("strict.yaml", strict());
    const more = await tried(path, "--replay", SINCE, "--fail-if-more");
    expect(more.code).toBe(8);
    expect(more.out).toContain("The candidate would touch 2 nodes, the active policy 1: 1 more");
    expect(more.out).toContain("What the record does not hold:");
    const same = await tried(path, "--replay", SINCE, "--fail-if-more", "--against", path);
    expect(same.code).toBe(0);
    expect(same.out).toContain("0 more, 0 fewer, 2 by both");
  });

  test("shows a shadow by its hits, and touches nothing by it", async () => {
    const path = file("shadow.yaml", strict("    shadow: true\n"));
    const { code, out } = await tried(path, "--replay", SINCE, "-o", "json");
    expect(code).toBe(0);
    const told = json(out) as Told;
    expect(told.summary["candidate"]).toBe(0);
    expect(told.rules.find((one) => one.rule === "any")?.candidate).toEqual({
      hits: 0,
      shadow_hits: 2,
    });
  });

  test("exports the record, which is then replayed without a control plane", async () => {
    const path = file("strict.yaml", strict());
    const kept = join(folder, "kept.jsonl");
    const online = await tried(path, "--replay", SINCE, "--export", kept, "-o", "json");
    expect(readFileSync(kept, "utf8").trim().split("\n").length).toBe(2);
    const offline = await navarch(["policy", "test", path, "--replay-file", kept, "-o", "json"]);
    expect(offline.code).toBe(0);
    const [first, second] = [json(online.out) as Told, json(offline.out) as Told];
    expect(second.summary).toEqual(first.summary);
    expect(second.touched.map((one) => one.node_id)).toEqual(first.touched.map((o) => o.node_id));
  });

  test("replays nothing of a time in which nothing was found", async () => {
    const path = file("strict.yaml", strict());
    const { code, out } = await tried(path, "--replay", "2999-01-01T00:00:00Z", "-o", "json");
    expect([code, (json(out) as Told).findings]).toEqual([0, 0]);
  });

  test("refuses what makes no sense", async () => {
    const path = file("strict.yaml", strict());
    for (const words of [
      [],
      ["--replay", "soon"],
      ["--replay", SINCE, "--replay-file", "x"],
      ["--replay", SINCE, "--events", "x"],
      ["--replay-file", join(folder, "none")],
      ["--replay-file", path],
      ["--replay", SINCE, "--export", join(folder, "no", "where")],
    ]) {
      const { code, out, err } = await tried(path, ...words);
      expect({ words, code, out }).toEqual({ words, code: 2, out: "" });
      expect(err).toStartWith("error: ");
    }
    // Seven processes, and a machine that others use too.
  }, 20_000);
});
