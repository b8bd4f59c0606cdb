/**
 * The product's main job, live: a control plane and three nodes with simulated GPUs, all real
 * processes; one GPU falls off the bus in a node's kernel log; the fleet heals. Exit 0 only if the
 * world is right, by the cloud's own journal. `--keep` breaks further GPUs until ctrl-C.
 */
import { join } from "node:path";
import { injectXid } from "../fixture/cloud/inject.ts";
import type { EventView, NodeView } from "../../schema/api.ts";
import type { InstanceId } from "../../schema/id.ts";
import { buildStale, Plane, until } from "../fixture/plane/plane.ts";
import { openConsoleLink } from "./console-link.ts";
import { openMachineStage, type Stage } from "./machine.ts";
import { openOwnedStage } from "./owned.ts";

const SIZE = 3;
/** The whole story takes about 25 s on two cores; this bounds a machine that is much slower. */
const LIMIT_MS = 110_000;
/** Between two broken GPUs of `--keep`: a fleet heals in about half of it. */
const KEEP_MS = 60_000;

/** Quick beats: a person watches. */
const TIMING = `  heartbeat_interval: 1s
  heartbeat_timeout: 5s
  sample_interval: 1s
  health_check_interval: 5s`;

const CONFIG = `
server:
  address: 127.0.0.1:0
${TIMING}
# Whatever cluster this machine may know, a demonstration is none of its business.
kubernetes: { enabled: false }
providers:
  fake: { gpu_count: 8, boot_delay: 1s, terminate_delay: 1s }
pools:
  - name: training
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: ${SIZE}, max_nodes: 5 }
    health: { unhealthy_threshold: 2, auto_replace: true }
    labels: { workload: training }
`;

const started = performance.now();
const elapsed = (): string => `${((performance.now() - started) / 1_000).toFixed(1).padStart(6)} s`;
const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** What each event is called in the story. */
const WORDS: Record<string, string> = {
  "node.finding": "finding",
  "node.unhealthy": "unhealthy",
  "node.suspect": "suspect",
  "node.cordoned": "cordon",
  "node.draining": "drain",
  "node.drained": "drained",
  "node.terminating": "terminate",
  "node.terminated": "gone",
  "node.requested": "request",
  "node.booting": "boot",
  "node.bootstrapping": "set up",
  "node.bootstrapped": "set up",
  "node.registered": "register",
  "node.verified": "serving",
  "node.replaced": "replaced",
  "node.repairing": "reboot",
  "node.uncordoned": "uncordon",
  "node.recovered": "recovered",
  "node.held": "held",
};

/** Prints the timeline from `cursor` on until the sick node has this event; the next cursor. */
async function follow(
  plane: Plane,
  cursor: number,
  faultAt: number,
  { sick, end }: { sick: NodeView; end: string },
): Promise<number> {
  let after = cursor;
  await until("the fleet heals", LIMIT_MS, async () => {
    const page = await plane.get<{ events: EventView[]; next: number }>(`/events?after=${after}`);
    after = page.next;
    let healed = false;
    for (const event of page.events) {
      const word = WORDS[event.kind];
      if (word === undefined) continue;
      const since = ((Date.parse(event.at) - faultAt) / 1_000).toFixed(2).padStart(6);
      say(`${since} s  ${word.padEnd(10)} ${(event.node_id ?? "").padEnd(20)} ${event.message}`);
      if (event.kind === end && event.node_id === sick.node_id) healed = true;
    }
    return healed ? true : null;
  });
  return after;
}

/** What a person copies into a vendor's form. */
function sayRma({ rma }: NodeView): void {
  if (rma === undefined) return;
  say(`\nRMA record of ${rma.host} (${rma.address}), rack ${rma.rack}: ${rma.because.join("; ")}`);
  for (const { fault, gpu_index, gpu_serial, gpu_uuid, line, at } of rma.faults) {
    say(`  ${at}  ${fault} on GPU ${gpu_index}, serial ${gpu_serial}, ${gpu_uuid}`);
    say(`  ${line}`);
  }
}

/** The simulated machines, whose cloud keeps a journal. */
function openFakeStage(): Stage {
  const plane = new Plane(CONFIG);
  return {
    plane,
    what: `${SIZE} nodes with 8 simulated GPUs`,
    acts: ["node.replaced"],
    ending: "healed",
    async break(instance) {
      injectXid(plane.cloudDir, instance as InstanceId, { xid: 79 });
    },
    async judge(dead) {
      const truth = plane.reality();
      const live = new Set(truth.live.map((instance) => instance.id as string));
      const nodes = await plane.serving();
      const bare = nodes.filter((node) => !live.has(node.instance_id ?? ""));
      return [
        ...(nodes.length === SIZE ? [] : [`${nodes.length} nodes serve, wanted ${SIZE}`]),
        ...(live.size === SIZE ? [] : [`the cloud has ${live.size} live instances, not ${SIZE}`]),
        ...bare.map((node) => `${node.node_id} serves without an instance`),
        ...(live.has(dead) ? [`instance ${dead} is still alive`] : []),
        ...(truth.terminated.some((one) => one.id === dead) ? [] : [`${dead} was never ended`]),
        ...(truth.overlaps.length + truth.doubles.length > 0 ? ["something was bought twice"] : []),
      ];
    },
    end: () => plane.destroy(),
  };
}

type Story = { dead: string; healedMs: number };

/** Ctrl-C, or the end of its terminal: machines and control plane end with the demonstration. */
const STOPPED = "stopped";
const stopped = Promise.withResolvers<typeof STOPPED>();
/** Exit status of a program that was interrupted. */
const STOPPED_EXIT = 130;

/** Breaks a GPU each minute, so that the console has something to show, until ctrl-C. */
async function keepHealing({ plane, break: breakOne }: Stage, console: string): Promise<void> {
  const token = join(plane.state, "admin.token");
  say(`\nThe fleet stays, and a GPU breaks each minute. Ctrl-C ends it.`);
  say(`  console: ${console}`);
  say(`  look:    dist/navarch list --server ${plane.url} --token-file ${token}`);
  while ((await Promise.race([stopped.promise, Bun.sleep(KEEP_MS)])) !== STOPPED) {
    const nodes = await plane.serving();
    const { instance_id: instance, node_id: node } = nodes[0] ?? {};
    if (nodes.length < SIZE || instance === undefined || instance === null) continue;
    say(`${elapsed()}  XID 79 into the kernel log of ${node}`);
    await breakOne(instance);
  }
}

async function tellStory(stage: Stage, console: string): Promise<Story> {
  const { plane } = stage;
  await plane.start();
  say(`${elapsed()}  control plane at ${plane.url}; asked for ${stage.what}`);
  say(`${elapsed()}  console, while this runs: ${console}`);
  const nodes = await plane.waitServing(SIZE, LIMIT_MS);
  say(`${elapsed()}  ${nodes.map((node) => node.node_id).join(", ")} serve`);
  const sick = nodes[1] ?? nodes[0];
  const instance = sick?.instance_id;
  if (sick === undefined || instance === null || instance === undefined)
    throw new Error("no node to break");
  const page = await plane.get<{ next: number }>("/events?limit=1000");
  let next = page.next;
  const faultAt = Date.now();
  for (const [act, end] of stage.acts.entries()) {
    const where = `the kernel log of ${sick.node_id}${act === 0 ? "" : " again"}`;
    say(`${elapsed()}  XID 79 into ${where}: GPU has fallen off the bus\n`);
    await stage.break(instance);
    next = await follow(plane, next, faultAt, { sick, end });
    say("");
  }
  const healedMs = Date.now() - faultAt;
  sayRma((await plane.nodes()).find((one) => one.node_id === sick.node_id) ?? sick);
  return { dead: instance, healedMs };
}

/** `--provider machine` or `ssh` for real machines; simulated ones otherwise. */
async function openStage(): Promise<Stage> {
  const at = process.argv.indexOf("--provider");
  const provider = at < 0 ? "fake" : (process.argv[at + 1] ?? "");
  if (provider === "fake") return openFakeStage();
  if (provider !== "fake" && process.argv.includes("--keep")) {
    throw new Error("--keep: these machines end with the demonstration; see `npm run machine`");
  }
  if (provider === "ssh") return openOwnedStage(SIZE, TIMING);
  if (provider === "machine") return openMachineStage(SIZE, TIMING);
  throw new Error(`--provider ${provider}: expected fake, machine or ssh`);
}

async function main(): Promise<number> {
  await buildStale((name) => say(`building dist/${name}`));
  const stage = await openStage();
  const { plane } = stage;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => stopped.resolve(STOPPED));
  }
  const link = openConsoleLink(plane);
  const problems: string[] = [];
  let story: Story | typeof STOPPED = STOPPED;
  try {
    story = await Promise.race([tellStory(stage, link.url), stopped.promise]);
    if (story !== STOPPED) problems.push(...(await stage.judge(story.dead)));
    if (process.argv.includes("--keep") && problems.length === 0 && story !== STOPPED) {
      await keepHealing(stage, link.url);
    }
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
    say(plane.log().split("\n").slice(-15).join("\n"));
  }
  await link.close();
  problems.push(...(await stage.end()).map((left) => `left over: ${left}`));
  say("");
  for (const problem of problems) say(`wrong: ${problem}`);
  if (problems.length > 0) return 1;
  if (story === STOPPED) return STOPPED_EXIT;
  say(`demo: ${stage.ending} in ${(story.healedMs / 1_000).toFixed(1)} s`);
  return 0;
}

process.exit(await main());
