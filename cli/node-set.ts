/** The actions of `navarch sim nodes`: make the set equal to a file, list it, delete it. */
import { REAL_CLOCK } from "../reconciler/kubernetes/connect.ts";
import { GPU_RESOURCE } from "../reconciler/provider/kwok/catalog.ts";
import { applyNodes, deleteSet, listSet } from "../simulator/workflow/node-set/apply.ts";
import { type NodeList, readNodeList } from "../simulator/workflow/node-set/entry.ts";
import type { SetNode } from "../simulator/workflow/node-set/read.ts";
import { Made } from "../simulator/workflow/made.ts";
import { TaskError } from "../simulator/workflow/task.ts";
import { unknownKey } from "../simulator/workflow/document.ts";
import type { Writer } from "../simulator/workflow/write.ts";
import { readYaml } from "../simulator/workflow/yaml.ts";
import { formatSpan } from "./age.ts";
import { EXIT } from "./failure.ts";
import type { GoFlags } from "./go-flag.ts";
import { type Interrupt, INTERRUPTS, watchInterrupts } from "./interrupt.ts";
import { openKube } from "./kube.ts";
import { formatTable } from "./table.ts";
import { drawFieldManager, FileError, readText } from "./workflow-file.ts";
import type { World } from "./world.ts";
import { parseInstant } from "../schema/instant.ts";

const FIRST_MS = 10_000;

export type NodeVerb = "apply" | "list" | "delete";

/** Exit status: 0 done, 1 failed, 130 or 143 interrupted. */
export async function runNodes(world: World, verb: NodeVerb, flags: GoFlags): Promise<number> {
  const fail = (message: string): number => {
    world.err(`error: ${message}\n`);
    return EXIT.failed;
  };
  const interrupts: Interrupt[] = [];
  const stop = new AbortController();
  try {
    const list = verb === "apply" ? await readFile(flags.text("f"), flags.on("taint")) : null;
    for (const warning of list?.warnings ?? []) world.err(`warning: ${warning}\n`);
    const kube = await openKube(world, flags);
    if (!kube.ok) return fail(kube.message);
    for (const warning of kube.warnings) world.err(`warning: ${warning}\n`);
    const endWatch = watchInterrupts((interrupt) => {
      interrupts.push(interrupt);
      stop.abort();
    });
    try {
      const { signal } = stop;
      const writer = { ...kube, made: new Made(), fieldManager: drawFieldManager(), signal };
      const deadlineMs = REAL_CLOCK.monoMs() + flags.number("timeout");
      return await perform(world, verb, { ...writer, clock: REAL_CLOCK }, list, deadlineMs);
    } finally {
      endWatch();
      // An open connection would keep the process running.
      kube.api.close();
    }
  } catch (cause) {
    if (!(cause instanceof TaskError || cause instanceof FileError)) throw cause;
    const [interrupt] = interrupts;
    const status = fail(cause.message);
    return interrupt === undefined ? status : INTERRUPTS[interrupt];
  }
}

async function perform(
  world: World,
  verb: NodeVerb,
  writer: Writer,
  list: NodeList | null,
  deadlineMs: number,
): Promise<number> {
  // A server that is not there at all is reported soon; one that goes away meanwhile is waited for.
  const before = await listSet(writer, Math.min(deadlineMs, writer.clock.monoMs() + FIRST_MS));
  if (verb === "delete") {
    const count = await deleteSet(writer, deadlineMs);
    world.out(`${count} virtual ${count === 1 ? "node" : "nodes"} deleted\n`);
  } else if (list === null) {
    world.out(formatNodes(before, world));
  } else {
    const { created, kept, patched, removed, cordoned } = await applyNodes(
      writer,
      list.entries,
      deadlineMs,
    );
    const total = created + kept;
    const how = `${created} created, ${kept} kept, ${patched} patched, ${removed} deleted`;
    world.out(`${total} virtual ${total === 1 ? "node" : "nodes"}: ${how}\n`);
    if (cordoned > 0) world.err(`warning: kept nodes that are cordoned: ${cordoned}\n`);
  }
  return EXIT.done;
}

const KEYS = ["nodes"];

/** A values file: `nodes: […]`. */
async function readFile(path: string, taints: boolean): Promise<NodeList> {
  const yaml = readYaml(await readText(path === "-" ? "/dev/stdin" : path));
  if (!yaml.ok) throw new FileError(`${path}: not valid YAML: ${yaml.message}`);
  const { value } = yaml;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new FileError(`${path}: expected a map with the key "nodes"`);
  }
  const unknown = Object.keys(value).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) throw new FileError(`${path}: ${unknownKey(unknown, KEYS)}`);
  if (!("nodes" in value)) throw new FileError(`${path}: missing key "nodes"`);
  try {
    return readNodeList(value.nodes, "nodes", taints);
  } catch (cause) {
    if (cause instanceof TaskError) throw new FileError(`${path}: ${cause.message}`);
    throw cause;
  }
}

const HEAD = ["Name", "Type", "Status", "GPUs", "Age"];

function formatNodes(nodes: readonly SetNode[], world: World): string {
  const rows = [...nodes]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((node) => {
      const ready = node.isReady ? "Ready" : "NotReady";
      const status = node.isCordoned ? `${ready},SchedulingDisabled` : ready;
      const ageMs = world.wallMs() - parseInstant(node.createdAt);
      const age = Number.isFinite(ageMs) ? formatSpan(ageMs) : "";
      const type = node.stored?.type ?? "";
      return [node.name, type, status, node.capacity[GPU_RESOURCE] ?? "", age];
    });
  if (rows.length === 0) return "No virtual nodes found\n";
  return formatTable(HEAD, rows, { color: false, columns: world.tty ? world.columns : null });
}
