/**
 * What the scripts of a `command` provider with `protocol: shell` print and how they end: a worker
 * a line, and exit statuses after sysexits.h that prove something (docs/provider-command.md). Pure.
 */
import * as v from "valibot";
import { InstanceId } from "../../../schema/id.ts";
import { nodeIdOf } from "../../core/decide/offer.ts";
import {
  type CreateRequest,
  type Instance,
  INSTANCE_STATES,
  type InstanceState,
  type RefusalClass,
} from "../../core/provider.ts";

export const FLEET_TAG = "navarch-fleet";
const NAME_TAG = "navarch-name";
const TYPE_TAG = "navarch-type";
/** A list this long is a mistake. */
const WORKERS_MAX = 100_000;

/** The script says that it accepted nothing. Any other status but 0 proves nothing. */
const REFUSALS: ReadonlyMap<number, RefusalClass> = new Map([
  [64, "bad_request"],
  [69, "capacity"],
  [73, "quota"],
  [75, "rate_limit"],
  [77, "auth"],
]);
export const NOT_FOUND = 66;

export const refusalBy = (status: number): RefusalClass | null => REFUSALS.get(status) ?? null;

export type Worker = {
  id: InstanceId;
  state: InstanceState | null;
  tags: Readonly<Record<string, string>>;
};

/** `NAME [STATE] [KEY=VALUE …]` for each line that is not empty; a text says what is wrong. */
export function readWorkers(output: string): Worker[] | string {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  if (lines.length > WORKERS_MAX) return `printed more than ${WORKERS_MAX} workers`;
  const workers = new Map<string, Worker>();
  for (const line of lines) {
    const worker = readWorker(line);
    if (worker === null) {
      const shown = JSON.stringify(line.slice(0, 120));
      return `expected NAME, or NAME STATE KEY=VALUE…, found ${shown}`;
    }
    if (workers.has(worker.id)) return `printed worker ${worker.id} twice`;
    workers.set(worker.id, worker);
  }
  return [...workers.values()];
}

function readWorker(line: string): Worker | null {
  const [first = "", ...words] = line.trim().split(/\s+/);
  const id = v.safeParse(InstanceId, first);
  // A name that begins so would be an option of the programs that a script calls.
  if (!id.success || first.startsWith("-")) return null;
  const state = INSTANCE_STATES.find((one) => one === words[0]) ?? null;
  const pairs = (state === null ? words : words.slice(1)).map((word) => word.split(/=(.*)/s, 2));
  if (pairs.some(([key, value]) => key === "" || value === undefined)) return null;
  return { id: id.output, state, tags: Object.fromEntries(pairs) };
}

/** As the port has it. `tags` are those of the line, or of the name where the line has none. */
export function instanceOf(worker: Worker, fleetId: string): Instance {
  const hasTags = FLEET_TAG in worker.tags;
  const tags = hasTags ? worker.tags : { ...worker.tags, ...tagsOf(worker.id, fleetId) };
  const { [NAME_TAG]: name = worker.id, [TYPE_TAG]: instanceType = "unknown", ...own } = tags;
  return {
    ...{ id: worker.id, name, token: null, state: worker.state ?? "running", tags: own },
    ...{ region: null, zone: null, instanceType, internalIp: null, externalIp: null },
    // Unknown counts as old: such a worker may have served.
    ...{ createdAtMs: 0, pricePerHour: null, hostKeys: null, failure: null, notice: null },
  };
}

/**
 * The tags that a name of Navarch's own stands for. Other names only say that they are listed here:
 * without a node and a pool in its tags, a worker that no purchase knows is left alone.
 */
function tagsOf(name: string, fleetId: string): Record<string, string> {
  const fleet = { [FLEET_TAG]: fleetId };
  const node = name.replace(/-a\d+$/, "");
  const rest = node.startsWith(`${fleetId}-`) ? node.slice(fleetId.length + 1) : "";
  const [, middle = "", slot = "", gen = ""] = /^(.+)-(\d+)-(\d+)$/.exec(rest) ?? [];
  const isOwn = nodeIdOf(fleetId, middle, Number(slot), Number(gen)) === node;
  // A shortened pool's name cannot be read back, and a wrong pool would end the worker.
  if (!isOwn || /-[0-9a-f]{6}$/.test(middle)) return fleet;
  const place = { "navarch-pool": middle, "navarch-slot": slot, "navarch-gen": gen };
  return { ...fleet, "navarch-node": node, ...place };
}

/** What `start` finds in its environment. Pairs that have spaces are left out. */
export function startVariables(request: CreateRequest): Record<string, string> {
  const { name, instanceType } = request;
  const tags = { ...request.tags, [NAME_TAG]: name, [TYPE_TAG]: instanceType };
  const pairs = Object.entries(tags).map(([key, value]) => `${key}=${value}`);
  return {
    WORKER_NAME: name,
    WORKER_NODE: request.nodeId,
    WORKER_POOL: request.tags["navarch-pool"] ?? "",
    WORKER_TYPE: instanceType,
    WORKER_MARKET: request.market,
    WORKER_REGION: request.region ?? "",
    WORKER_ZONE: request.zone ?? "",
    WORKER_RESERVATION: request.reservation ?? "",
    WORKER_TAGS: pairs.filter((pair) => !/\s/.test(pair)).join(" "),
    WORKER_SSH_KEYS: request.sshKeys.join("\n"),
  };
}
