/**
 * GPUs that open and give no reading, through the compiled agent and a compiled control plane: the
 * node is unhealthy, or not verified; it is never healthy, and never serves as healthy.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { writeFileSync } from "node:fs";
import type { NodeView } from "../../schema/api.ts";
import { nvmlOrSkip } from "../fixture/nvml/build.ts";
import { buildStale, cleanEnv, NAVARCH_NODE, Plane, until } from "../fixture/plane/plane.ts";
import { type GpuState, type NvmlState, openNvmlWorld } from "../fixture/nvml/state.ts";
import { scratch } from "./binary.ts";

const library = nvmlOrSkip("full") ?? "";
/** What the library answers from its own memory, whatever the GPU does. */
const IDENTITY = ["HandleByIndex_v2", "UUID", "PciInfo_v3", "Name", "Serial"];
const CACHED = [...IDENTITY, "MigMode", "PersistenceMode"];
const muteGpu = (code: number): GpuState => ({
  rc: code,
  ...Object.fromEntries(CACHED.map((name) => [`rc.nvmlDeviceGet${name}`, 0])),
});
const SHARED = "shared-by-all-agents-of-this-test";
const CARDS = { count: 4, name: "NVIDIA L40S" };
const CARD: GpuState = { links: 0, "fabric.state": 0 };
const cards = (third: GpuState = {}): NvmlState => ({
  ...CARDS,
  gpus: { 0: CARD, 1: CARD, 2: { ...CARD, ...third }, 3: CARD },
});

const YAML = `
server:
  address: 127.0.0.1:0
  heartbeat_interval: 1s
  sample_interval: 1s
  health_check_interval: 1s
kubernetes: { enabled: false }
providers:
  fake: {}
pools:
  - { name: p, provider: fake, instance_type: h100-8x, scaling: { min_nodes: 0, max_nodes: 1 } }
`;

describe.skipIf(library === "")("a running agent and a control plane", () => {
  let plane: Plane | null = null;
  const agents: Bun.Subprocess[] = [];

  beforeAll(async () => {
    await buildStale();
    plane = new Plane(YAML, { NAVARCH_AUTH_TOKEN: SHARED });
    await plane.start();
  }, 240_000);
  afterAll(async () => {
    for (const agent of agents) agent.kill("SIGKILL");
    await Promise.all(agents.map(({ exited }) => exited));
    await plane?.destroy();
  }, 30_000);

  function start(name: string, state: NvmlState): ReturnType<typeof openNvmlWorld> {
    const world = openNvmlWorld(scratch(), state);
    const log = join(scratch(), "kmsg");
    writeFileSync(log, "");
    const flags = {
      ...{ server: plane?.url ?? "", "node-id": name, spool: scratch(), "nvml-path": library },
      // No bus: the machine of the test has no GPUs.
      ...{ "kernel-log": log, "host-sys": join(scratch(), "none"), "expected-ports": "0" },
    };
    const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
    const own = { NAVARCH_NVML_ENV: "FAKE_NVML_STATE,FAKE_NVML_STATS", ...world.env };
    const env = cleanEnv({ ...own, NAVARCH_AUTH_TOKEN: SHARED });
    agents.push(Bun.spawn([NAVARCH_NODE, ...args], { env, stdout: "ignore", stderr: "ignore" }));
    return world;
  }

  async function nodeOf(name: string): Promise<NodeView | null> {
    if (plane === null) return null;
    const answer = await plane.fetch("/api/v1/nodes", { token: SHARED });
    const { nodes } = (await answer.json()) as { nodes: NodeView[] };
    return nodes.find(({ node_id }) => node_id === name) ?? null;
  }
  /** The node once it looks like this; all that was seen on the way. */
  async function waitFor(name: string, looks: (node: NodeView) => boolean) {
    const seen = new Set<string>();
    await until(`${name} looks so`, 20_000, async () => {
      const node = await nodeOf(name);
      if (node !== null) seen.add(`${node.phase} ${node.verdict}`);
      if (node !== null && looks(node)) return true;
      throw new Error([...seen].join(", "));
    });
    return [...seen];
  }

  /** Degraded, and not serving three checks later. */
  async function expectUnverified(name: string): Promise<void> {
    await waitFor(name, ({ verdict }) => verdict === "degraded");
    const laterMs = Date.now() + 3_000;
    const isLater = (node: NodeView) => Date.parse(node.last_heartbeat ?? "") > laterMs;
    expect(await waitFor(name, isLater)).toEqual(["verifying degraded"]);
  }

  test.each([10, 999])(
    "a GPU that answers %p is unhealthy from the start",
    async (code) => {
      start(`new-${code}`, cards(muteGpu(code)));
      const seen = await waitFor(`new-${code}`, ({ verdict }) => verdict === "unhealthy");
      expect(seen.filter((look) => look.endsWith(" healthy"))).toEqual([]);
    },
    30_000,
  );

  test.each([3, 4])(
    "a GPU that answers %p is not verified, and not healthy",
    async (code) => {
      start(`new-${code}`, cards(muteGpu(code)));
      await expectUnverified(`new-${code}`);
    },
    30_000,
  );

  test("neither is a node without any GPU", async () => {
    start("none", { count: 0 });
    await expectUnverified("none");
  }, 30_000);

  test.each([
    [3, "degraded"],
    [999, "unhealthy"],
  ] as const)(
    "a serving node whose GPU goes mute with %p is %s, and healthy again after it",
    async (code, health) => {
      const name = `old-${code}`;
      const world = start(name, cards());
      await waitFor(name, (node) => node.phase === "serving" && node.verdict === "healthy");
      world.write(cards(muteGpu(code)));
      await waitFor(name, (node) => node.verdict === health);
      world.write(cards());
      await waitFor(name, (node) => node.verdict === "healthy");
    },
    60_000,
  );
});
