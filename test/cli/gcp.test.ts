/**
 * A control plane as a process buys at a stand-in of Compute Engine's API: from an empty cloud to
 * the pool's size and no further, over a zone without stock, a stock-out that is reported after the
 * purchase was accepted, a kill in between, and tokens that expire or are revoked.
 */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { serveGce } from "../fixture/cloud/gce-server.ts";
import { serveTokens } from "../fixture/cloud/gce-token.ts";
import { json, navarch } from "./spawn.ts";

const MAIN = join(ROOT, "cli/main.ts");
/** Longer than a create waits for its operation (30 s). */
const LATE_MS = 36_000;

const folder = mkdtempSync(join(tmpdir(), "navarch-gcp-plane-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const settings = (endpoint: string, image = "projects/d/global/images/family/debian-12") => `
providers:
  gcp: { project: p1, image: ${image}, endpoint: "${endpoint}" }
`;

async function until<T>(what: string, look: () => Promise<T | null> | T | null): Promise<T> {
  const endMono = performance.now() + 90_000;
  while (performance.now() < endMono) {
    const found = await look();
    if (found !== null) return found;
    await Bun.sleep(100);
  }
  throw new Error(`${what}: not within 90 s`);
}

test("buys what the pool wants, over stock-outs, a kill and lost tokens", async () => {
  const wallMs = () => Date.now();
  const desk = serveTokens({ wallMs });
  desk.lifeS = 8;
  const standIn = serveGce({ wallMs, isValid: desk.isValid });
  const { cloud } = standIn;
  standIn.service.zones = ["z1-a", "z1-b"];
  const { knobs } = cloud;
  Object.assign(knobs, { operationMs: 300, bootMs: 500, failMs: 200 });
  knobs.stock.set("z1-a", 1).set("z1-b", 1);
  knobs.failMsOf.set("z1-b", LATE_MS);
  const state = join(folder, "state");
  const portFile = join(folder, "port");
  const config = join(folder, "navarch.yaml");
  writeFileSync(
    config,
    `server: { address: "127.0.0.1:0" }
${settings(standIn.endpoint)}
pools:
  - { name: p, provider: gcp, zones: [z1-a, z1-b], instance_type: a3-highgpu-8g,
      scaling: { min_nodes: 3, max_nodes: 3 } }
`,
  );
  const start = () => {
    rmSync(portFile, { force: true });
    const own = ["--state", state, "--addr", "127.0.0.1:0", "--test-port-file", portFile];
    return Bun.spawn([process.execPath, MAIN, "control-plane", "--config", config, ...own], {
      env: { PATH: process.env["PATH"] ?? "", HOME: folder, GCE_METADATA_HOST: desk.host },
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
    });
  };
  const rows = async () => {
    const port = await until("the port", () => {
      const text = existsSync(portFile) ? readFileSync(portFile, "utf8").trim() : "";
      return text === "" ? null : text;
    });
    const from = ["-s", `127.0.0.1:${port}`, "--state", state, "-o", "json"];
    const said = await navarch(["instances", ...from]);
    if (said.code !== 0) return null;
    const all = json(said.out) as { instance_id: string; state: string }[];
    const here = all.filter(({ state: name }) => !/_(FAILED|TERMINATED)$/.test(name));
    return here.map((row) => row.instance_id).sort();
  };
  const idsOf = () =>
    standIn
      .reality()
      .live.map(({ id }) => String(id))
      .sort();
  const failedIn = (zone: string) =>
    cloud.operations.filter((op) => op.zone === zone && op.error !== null);
  let plane = start();
  try {
    await until("two machines", () => {
      const zones = cloud
        .live()
        .map(({ zone }) => zone)
        .sort();
      return zones.length >= 2 && zones.at(-1) === "z1-b" ? true : null;
    });
    const [late] = await until("a late stock-out", () => {
      const found = failedIn("z1-b");
      return found.length === 0 ? null : found;
    });
    const refusedMs = Math.max(...failedIn("z1-a").map(({ doneMs }) => doneMs));
    const nextMs = cloud.operations.find(({ zone }) => zone === "z1-b")?.insertMs ?? Infinity;
    // The next zone is tried at once: an offer's rest is 30 s.
    expect(nextMs - refusedMs).toBeLessThan(10_000);
    const id = `z1-b/${late?.targetName}/${late?.targetId}`;
    const all = await until("the late one as a purchase", async () => {
      const found = await rows();
      return found?.includes(id) === true ? found : null;
    });
    expect(all).toHaveLength(3);
    desk.revoke();
    plane.kill("SIGKILL");
    await plane.exited;
    // Another process has to find out that the accepted purchase failed.
    plane = start();
    expect(Date.now()).toBeLessThan(late?.doneMs ?? 0);
    await until("the failure", () => (Date.now() > (late?.doneMs ?? 0) ? true : null));
    knobs.failMsOf.clear();
    knobs.stock.set("z1-b", 5);
    await until("the size", async () => {
      const found = await rows();
      const live = idsOf();
      return live.length === 3 && String(found) === String(live) ? true : null;
    });
    expect(idsOf()).not.toContain(id);
    // Longer than a listing of a real cloud, which is one in ten seconds.
    await Bun.sleep(11_000);
    expect(standIn.reality()).toMatchObject({ doubles: [], overlaps: [], terminated: [] });
    expect(await rows()).toEqual(idsOf());
    expect(idsOf()).toHaveLength(3);
    const labels = cloud.live().map(({ body }) => body.labels?.["navarch-pool"]);
    expect(labels).toEqual(["p", "p", "p"]);
    // Tokens of 8 s, over more than a minute.
    expect(desk.calls.length).toBeGreaterThan(5);
    const posts = standIn.calls.filter((call) => call.startsWith("POST")).length;
    expect(posts).toBeLessThan(20);
  } finally {
    plane.kill("SIGTERM");
    await plane.exited;
    await standIn.stop();
    await desk.stop();
  }
}, 240_000);

test("doctor providers reads, and provider check buys one and ends it", async () => {
  const wallMs = () => Date.now();
  const desk = serveTokens({ wallMs });
  const standIn = serveGce({ wallMs, isValid: desk.isValid });
  standIn.service.zones = ["z1-a"];
  Object.assign(standIn.cloud.knobs, { operationMs: 300, bootMs: 300, endMs: 300 });
  const write = (name: string, image?: string) => {
    const what = "provider: gcp, zones: [z1-a], instance_type: a3-highgpu-8g";
    const pool = `{ name: p, ${what}, min_nodes: 0, max_nodes: 1 }`;
    const path = join(folder, name);
    writeFileSync(path, `${settings(standIn.endpoint, image)}pools:\n  - ${pool}\n`);
    return path;
  };
  const env = { HOME: folder, GCE_METADATA_HOST: desk.host };
  const good = write("good.yaml");
  const doctor = await navarch(["doctor", "providers", "--config", good, "-o", "json"], env);
  expect(doctor.code).toBe(0);
  const found = json(doctor.out) as { outcome: string; check: string }[];
  expect(found.filter(({ outcome }) => outcome !== "ok")).toEqual([]);
  expect(found.map(({ check }) => check)).toContain("permission");
  expect(standIn.cloud.asks).toBe(0);
  const bad = await navarch(
    ["doctor", "providers", "--config", write("bad.yaml", "no-such-image")],
    env,
  );
  expect(bad.code).not.toBe(0);
  expect(bad.out).toContain("projects/p1/global/images/no-such-image does not exist");
  const buy = ["--buy", "e2-small", "--zone", "z1-a", "--yes"];
  const check = await navarch(["provider", "check", "gcp", "--config", good, ...buy], env);
  expect(check.out).toContain("the same instance");
  expect(check.code).toBe(0);
  expect(standIn.reality()).toMatchObject({ live: [], doubles: [], terminated: [{}] });
  await standIn.stop();
  await desk.stop();
}, 60_000);
