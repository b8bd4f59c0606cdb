/**
 * A control plane as a process buys at a stand-in of Lambda Cloud's API: what the pool wants and no
 * more, also when it is killed in the middle and when replies are lost.
 */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { openMemoryCloud } from "../../reconciler/provider/fake/memory.ts";
import { LAMBDA_KEY, serveLambda } from "../fixture/cloud/lambda-server.ts";
import { json, navarch } from "./spawn.ts";

const MAIN = join(ROOT, "cli/main.ts");

const folder = mkdtempSync(join(tmpdir(), "navarch-lambda-plane-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function until<T>(what: string, look: () => Promise<T | null> | T | null): Promise<T> {
  for (let i = 0; i < 1_200; i++) {
    const found = await look();
    if (found !== null) return found;
    await Bun.sleep(50);
  }
  throw new Error(`${what}: not within 60 s`);
}

test("buys what the pool wants, once, through a kill and a lost reply", async () => {
  const state = join(folder, "state");
  const fleetFile = join(folder, "port");
  const after = (ms: number, work: () => void) => void setTimeout(work, ms);
  const clock = { wallMs: () => Date.now(), after };
  let cloud = openMemoryCloud({ clock, random: () => 0.5, fleetId: "", class: "tag-only" });
  await cloud.close();
  const config = join(folder, "navarch.yaml");
  const rate = "rate_limit: { requests_per_second: 50, launch_interval: 50ms }";
  const write = (url: string) =>
    writeFileSync(
      config,
      `server: { address: "127.0.0.1:0" }
providers: { lambda: { endpoint: "${url}", settle: 3s, ${rate} } }
pools:
  - { name: p, provider: lambda, region: us-west-2, instance_type: h100x8,
      scaling: { min_nodes: 2, max_nodes: 3 } }
`,
    );
  const start = () => {
    rmSync(fleetFile, { force: true });
    const own = ["--state", state, "--addr", "127.0.0.1:0", "--test-port-file", fleetFile];
    return Bun.spawn([process.execPath, MAIN, "control-plane", "--config", config, ...own], {
      env: { PATH: process.env["PATH"] ?? "", HOME: folder, LAMBDA_API_KEY: LAMBDA_KEY },
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
    });
  };
  const server = () =>
    until("the port", () => {
      const text = existsSync(fleetFile) ? readFileSync(fleetFile, "utf8").trim() : "";
      return text === "" ? null : `127.0.0.1:${text}`;
    });
  // The fleet draws its id at its first start, which buys nothing: nobody listens there.
  write("http://127.0.0.1:1");
  let plane = start();
  const fleetOf = async () => {
    const said = await navarch(["instances", "-s", await server(), "--state", state, "-o", "json"]);
    return said.code === 0 ? said.out : null;
  };
  await until("the first start", fleetOf);
  plane.kill("SIGTERM");
  await plane.exited;
  const fleetId = await until("the fleet", () => fleetIn(state));
  cloud = openMemoryCloud({ clock, random: () => 0.5, fleetId, class: "tag-only" });
  const standIn = serveLambda(cloud);
  try {
    write(standIn.url);
    cloud.setFaults({ loseReply: { create: { times: 1 } } });
    plane = start();
    await until("the first launch", () => (cloud.reality().asks >= 1 ? true : null));
    plane.kill("SIGKILL");
    await plane.exited;
    plane = start();
    await until("both machines", () => (cloud.reality().live.length === 2 ? true : null));
    // Longer than a listing of a real cloud, which is one in ten seconds.
    await Bun.sleep(11_000);
    const { live, doubles, terminated } = cloud.reality();
    expect({ live: live.length, doubles, terminated }).toEqual({
      live: 2,
      doubles: [],
      terminated: [],
    });
    const address = await server();
    const said = await navarch(["instances", "-s", address, "--state", state, "-o", "json"]);
    const rows = json(said.out) as { instance_id: string }[];
    expect(rows.map((row) => row.instance_id).sort()).toEqual(live.map(({ id }) => id).sort());
    expect(standIn.violations).toEqual([]);
  } finally {
    plane.kill("SIGTERM");
    await plane.exited;
    await standIn.stop();
    await cloud.close();
  }
}, 150_000);

/** The id that the first start drew. */
function fleetIn(state: string): string | null {
  const path = join(state, "identity.json");
  if (!existsSync(path)) return null;
  return (JSON.parse(readFileSync(path, "utf8")) as { fleetId: string }).fleetId;
}
