/**
 * A provider that is an executable of the operator's own: each call of the port starts it once,
 * with JSON on its standard input and output (docs/provider-command.md).
 *
 * An answer that is not exactly a reply proves nothing: it is `ambiguous`, and a failed list. A
 * late effect is bounded by the call's time limit, after which the program's process group is
 * killed; the fence is passed on for targets that can refuse an older one.
 */
import type { Millis } from "../../../schema/millis.ts";
import type { InstanceId } from "../../../schema/id.ts";
import type { Clock } from "../../core/clock.ts";
import type {
  CreateAnswer,
  CreateRequest,
  Failed,
  Fence,
  Inspection,
  Instance,
  ListAnswer,
  OffersAnswer,
  Place,
  Provider,
  ProviderClass,
  RebootAnswer,
  StrangersAnswer,
  TerminateAnswer,
} from "../../core/provider.ts";
import { REACHES_ANY } from "../../core/reach.ts";
import { strangersIn } from "../../core/stranger.ts";
import { type Ran, runProgram } from "../../program/program.ts";
import {
  type CommandRequest,
  createRequest,
  type ErrorClass,
  instanceRequest,
  type Operation,
  placesRequest,
  PROTOCOL_VERSION,
  quoted,
  readReply,
  refusalOf,
  type Replied,
} from "./protocol.ts";

const FLEET_TAG = "navarch-fleet";

export type CommandProviderOptions = {
  name: string;
  /** The program and its arguments. */
  argv: readonly string[];
  class: ProviderClass;
  settleMs: number;
  timeoutMs: number;
  canReboot: boolean;
  fleetId: string;
  env: Readonly<Record<string, string>>;
  clock: Pick<Clock, "after">;
};

/** What a call came to, before the port's words for it. */
type Called<O extends Operation> =
  | { kind: "ok"; data: Replied<O> }
  | { kind: "error"; class: ErrorClass; message: string; retryAfterMs: Millis | null };

export function openCommandProvider(options: CommandProviderOptions): Provider {
  const { name, class: cls, settleMs, canReboot, fleetId } = options;
  const call = <O extends Operation>(request: CommandRequest<O>) => callProgram(options, request);
  const order = async (
    operation: "terminate" | "reboot",
    id: InstanceId,
    fence: Fence,
  ): Promise<RebootAnswer> => answerOrder(await call(instanceRequest(operation, id, fence)));
  return {
    name,
    type: "command",
    class: cls,
    settleMs,
    bringsAgent: false,
    canReboot,
    reach: () => ({ ...REACHES_ANY, type: "command" }),
    trouble: () => null,
    async offers(places) {
      if (places.length === 0) return { kind: "ok", offers: [] };
      const called = await call(placesRequest("offers", places));
      return answerRead(called, (data) => offersOf(places, data));
    },
    async quota(places) {
      const called = await call(placesRequest("quota", places));
      return answerRead(called, ({ quotas }) => ({ kind: "ok" as const, quotas }));
    },
    inspect: async (places) => inspectionsOf(await call(placesRequest("inspect", places))),
    async hostKeys(id) {
      const called = await call({ operation: "host_keys", instance: { id } });
      return answerRead(called, ({ host_keys: hostKeys }) => ({ kind: "ok" as const, hostKeys }));
    },
    create: async (request, fence) =>
      answerCreate(request, await call(createRequest(request, fence))),
    async terminate(id, fence): Promise<TerminateAnswer> {
      const answer = await order("terminate", id, fence);
      if (answer.kind !== "unsupported") return answer;
      const message = "the command cannot terminate instances";
      return { kind: "refused", class: "bad_request", message, retryAfterMs: null };
    },
    reboot: (id, fence) =>
      canReboot ? order("reboot", id, fence) : Promise.resolve({ kind: "unsupported" }),
    list: async () => answerList(await call({ operation: "list" }), fleetId),
    strangers: async (pools) => answerStrangers(await call({ operation: "list" }), fleetId, pools),
    close: () => Promise.resolve(),
  };
}

async function callProgram<O extends Operation>(
  options: CommandProviderOptions,
  request: CommandRequest<O>,
): Promise<Called<O>> {
  const { name, fleetId } = options;
  const input = { version: PROTOCOL_VERSION, provider: name, fleet: fleetId, ...request };
  const ran = await runProgram(options, `${JSON.stringify(input)}\n`);
  const answer = readRun(request, ran);
  if (answer.kind !== "error") return answer;
  const where = `${options.argv[0]} ${request.operation}`;
  return { ...answer, message: `${where}: ${answer.message}` };
}

function readRun<O extends Operation>(request: CommandRequest<O>, ran: Ran): Called<O> {
  const unknown = (message: string, cls: ErrorClass = "unknown"): Called<O> => {
    return { kind: "error", class: cls, message, retryAfterMs: null };
  };
  // What did not start did nothing; the next try may find it repaired.
  if (ran.kind === "failed") return unknown(ran.why, ran.isUnstarted ? "rate_limit" : "unknown");
  const reply = readReply(request.operation, ran.output);
  if (reply.kind === "error") return reply;
  if (ran.status === 0) return reply.kind === "ok" ? reply : unknown(reply.message);
  const last = ran.stderr.split("\n").at(-1) ?? "";
  return unknown(`exit status ${ran.status}${last === "" ? "" : `: ${quoted(last)}`}`);
}

function answerCreate(request: CreateRequest, called: Called<"create">): CreateAnswer {
  if (called.kind === "ok") {
    const { instance } = called.data;
    if (isOf(instance, request)) return { kind: "ok", instance };
    const message = `the answer names ${instance.name}, not ${request.name}`;
    return { kind: "ambiguous", message };
  }
  const { message, retryAfterMs } = called;
  const cls = refusalOf(called.class);
  return cls === null
    ? { kind: "ambiguous", message }
    : { kind: "refused", class: cls, message, retryAfterMs };
}

/** Its tags say which purchase it is; an instance of another one must not be taken for it. */
function isOf({ tags }: Instance, request: CreateRequest): boolean {
  const same = (key: string) => tags[key] === request.tags[key];
  return same(FLEET_TAG) && same("navarch-node");
}

function answerOrder(called: Called<"terminate" | "reboot">): RebootAnswer {
  if (called.kind === "ok") return { kind: "accepted" };
  const { message, retryAfterMs } = called;
  if (called.class === "not_found") return { kind: "not_found" };
  if (called.class === "unsupported") return { kind: "unsupported" };
  const cls = refusalOf(called.class);
  return cls === null
    ? { kind: "ambiguous", message }
    : { kind: "refused", class: cls, message, retryAfterMs };
}

function failedOf(called: Extract<Called<Operation>, { kind: "error" }>): Failed {
  const { class: cls, message } = called;
  // A program that could not be started has no time to name.
  const isNamed = cls === "auth" || (cls === "rate_limit" && called.retryAfterMs !== null);
  return { kind: "failed", class: isNamed ? cls : "unavailable", message };
}

/** A call that a program need not know. */
function answerRead<O extends Operation, A>(
  called: Called<O>,
  read: (data: Replied<O>) => A,
): A | Failed | { kind: "unsupported" } {
  if (called.kind === "ok") return read(called.data);
  return called.class === "unsupported" ? { kind: "unsupported" } : failedOf(called);
}

function offersOf(places: readonly Place[], { offers }: Replied<"offers">): OffersAnswer {
  if (offers.length !== places.length) {
    const message = `the answer has ${offers.length} offers for ${places.length} places`;
    return { kind: "failed", class: "unavailable", message };
  }
  const offered = places.map((place, i) => ({
    ...place,
    pricePerHour: offers[i]?.price_per_hour ?? null,
    available: offers[i]?.available ?? null,
  }));
  return { kind: "ok", offers: offered };
}

function inspectionsOf(called: Called<"inspect">): Inspection[] {
  if (called.kind === "ok") return called.data.findings;
  if (called.class === "unsupported") return [];
  return [{ check: "program", outcome: "fail", message: called.message }];
}

function answerList(called: Called<"list">, fleetId: string): ListAnswer {
  if (called.kind === "error") return failedOf(called);
  const { instances } = called.data;
  const ids = new Set<string>();
  for (const { id } of instances) {
    if (ids.has(id)) {
      const message = `the list names instance ${id} twice`;
      return { kind: "failed", class: "unavailable", message };
    }
    ids.add(id);
  }
  const own = instances.filter(({ tags }) => tags[FLEET_TAG] === fleetId);
  return { kind: "ok", instances: own };
}

/** The protocol lets a program leave out what belongs to other fleets. */
function answerStrangers(
  called: Called<"list">,
  fleetId: string,
  pools: readonly string[],
): StrangersAnswer {
  if (called.kind === "error") return failedOf(called);
  const { instances } = called.data;
  if (instances.every(({ tags }) => (tags[FLEET_TAG] ?? fleetId) === fleetId)) {
    const message = "its program may list this fleet's machines only";
    return { kind: "unsupported", message };
  }
  return { kind: "ok", instances: strangersIn(instances, fleetId, pools) };
}
