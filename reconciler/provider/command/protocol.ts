/**
 * What `navarch` and the executable of a `command` provider say to each other, version 1: one JSON
 * object on its standard input, one on its standard output (docs/provider-command.md). Pure.
 */
import { type Millis, waitMs } from "../../../schema/millis.ts";
import * as v from "valibot";
import { InstanceId } from "../../../schema/id.ts";
import { InstantText, parseInstant } from "../../../schema/instant.ts";
import { amount, finite } from "../../../schema/number.ts";
import {
  type CreateRequest,
  type Fence,
  type Instance,
  INSTANCE_STATES,
  type Place,
  REFUSAL_CLASSES,
  type RefusalClass,
} from "../../core/provider.ts";

export const PROTOCOL_VERSION = 1;
/** More than a cloud lists of one fleet: an answer this long is a mistake. */
const INSTANCES_MAX = 100_000;

/** `unknown` = it may have been accepted: the only safe class for what is not understood. */
const ERROR_CLASSES = [
  ...REFUSAL_CLASSES,
  "not_found",
  "unsupported",
  "unavailable",
  "unknown",
] as const;
export type ErrorClass = (typeof ERROR_CLASSES)[number];

const text = v.pipe(v.string(), v.maxLength(1_024));
const words = v.optional(v.record(v.pipe(v.string(), v.maxLength(256)), text), {});
const place = v.nullish(text, null);
const HostKeys = v.pipe(v.array(text), v.maxLength(16));
/** A cloud has more limits than this only by mistake. */
const ROWS_MAX = 10_000;

const Trouble = v.object({ class: v.picklist(REFUSAL_CLASSES), message: text });
const Notice = v.object({
  kind: v.picklist(["preemption", "maintenance"]),
  at: v.nullish(InstantText, null),
  message: text,
});

const ReplyInstance = v.pipe(
  v.object({
    id: InstanceId,
    name: text,
    token: place,
    state: v.picklist(INSTANCE_STATES),
    tags: words,
    region: place,
    zone: place,
    instance_type: text,
    internal_ip: place,
    external_ip: place,
    created_at: InstantText,
    price_per_hour: v.nullish(v.pipe(finite, v.minValue(0, "must not be negative")), null),
    host_keys: v.nullish(HostKeys, null),
    failure: v.nullish(Trouble, null),
    notice: v.nullish(Notice, null),
  }),
  v.transform((one): Instance => ({
    id: one.id,
    name: one.name,
    token: one.token,
    state: one.state,
    tags: one.tags,
    region: one.region,
    zone: one.zone,
    instanceType: one.instance_type,
    internalIp: one.internal_ip,
    externalIp: one.external_ip,
    createdAtMs: parseInstant(one.created_at),
    pricePerHour: one.price_per_hour,
    hostKeys: one.host_keys,
    failure: one.failure,
    notice: one.notice === null ? null : noticeOf(one.notice),
  })),
);

function noticeOf({ kind, at, message }: v.InferOutput<typeof Notice>): Instance["notice"] {
  return { kind, atMs: at === null ? null : parseInstant(at), message };
}

const ReplyOffer = v.object({
  price_per_hour: v.nullish(amount, null),
  available: v.nullish(v.boolean(), null),
});
const ReplyQuota = v.object({
  name: text,
  region: place,
  limit: amount,
  used: v.nullish(amount, null),
});
const ReplyFinding = v.object({
  check: text,
  outcome: v.picklist(["ok", "warn", "fail"]),
  message: v.pipe(v.string(), v.maxLength(4_096)),
});

const Failure = v.object({
  class: v.picklist(ERROR_CLASSES),
  message: v.pipe(v.string(), v.maxLength(4_096)),
  retry_after_seconds: v.nullish(v.pipe(finite, v.minValue(0), v.maxValue(86_400)), null),
});

const version = v.literal(PROTOCOL_VERSION, `must be ${PROTOCOL_VERSION}`);
const Failed = v.object({ version, error: Failure });
const all = v.pipe(v.array(ReplyInstance), v.maxLength(INSTANCES_MAX));
/** What each operation may print; a program need not know the last four. */
export const REPLIES = {
  create: v.object({ version, instance: ReplyInstance }),
  list: v.object({ version, instances: all }),
  terminate: v.object({ version, accepted: v.literal(true) }),
  reboot: v.object({ version, accepted: v.literal(true) }),
  offers: v.object({ version, offers: v.pipe(v.array(ReplyOffer), v.maxLength(ROWS_MAX)) }),
  quota: v.object({ version, quotas: v.pipe(v.array(ReplyQuota), v.maxLength(ROWS_MAX)) }),
  inspect: v.object({ version, findings: v.pipe(v.array(ReplyFinding), v.maxLength(ROWS_MAX)) }),
  host_keys: v.object({ version, host_keys: HostKeys }),
};
export type Operation = keyof typeof REPLIES;

export type CommandRequest<O extends Operation = Operation> = { operation: O } & Record<
  string,
  unknown
>;

/** What the executable reads. Names are those of the reply. */
export function createRequest(request: CreateRequest, fence: Fence): CommandRequest<"create"> {
  const { token, name, nodeId, tags, sshKeys } = request;
  const asked = { token, name, node: nodeId, ...placeOf(request), tags, ssh_keys: sshKeys };
  return { operation: "create", ...fenceOf(fence), request: asked };
}

export function instanceRequest<O extends "terminate" | "reboot">(
  operation: O,
  id: InstanceId,
  fence: Fence,
): CommandRequest<O> {
  return { operation, ...fenceOf(fence), instance: { id } };
}

export function placesRequest<O extends "offers" | "quota" | "inspect">(
  operation: O,
  places: readonly Place[],
): CommandRequest<O> {
  return { operation, places: places.map(placeOf) };
}

function placeOf({ region, zone, instanceType, market, reservation }: Place) {
  return { region, zone, instance_type: instanceType, market, reservation };
}

function fenceOf({ nodeId, fence, sessionId }: Fence) {
  return { fence: { node: nodeId, number: fence, session: sessionId } };
}

export type Replied<O extends Operation> = v.InferOutput<(typeof REPLIES)[O]>;
export type Reply<O extends Operation> =
  | { kind: "ok"; data: Replied<O> }
  | { kind: "error"; class: ErrorClass; message: string; retryAfterMs: Millis | null }
  | { kind: "unreadable"; message: string };

/** Reads what the executable printed. Whatever is not exactly a reply is `unreadable`. */
export function readReply<O extends Operation>(operation: O, output: string): Reply<O> {
  let value: unknown;
  try {
    value = JSON.parse(output);
  } catch {
    const found = output.trim() === "" ? "nothing" : quoted(output);
    return { kind: "unreadable", message: `expected one JSON object, found ${found}` };
  }
  const failed = v.safeParse(Failed, value);
  if (failed.success) {
    const { class: cls, message, retry_after_seconds: seconds } = failed.output.error;
    const retryAfterMs = seconds === null ? null : waitMs(seconds * 1_000);
    return { kind: "error", class: cls, message, retryAfterMs };
  }
  const isError = typeof value === "object" && value !== null && "error" in value;
  if (isError) return { kind: "unreadable", message: formatIssue(failed.issues[0]) };
  const schema: v.GenericSchema<unknown, Replied<O>> = REPLIES[operation];
  const read = v.safeParse(schema, value);
  if (!read.success) return { kind: "unreadable", message: formatIssue(read.issues[0]) };
  return { kind: "ok", data: read.output };
}

function formatIssue(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue) ?? "";
  const parts = path.split(".").map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${part}`));
  const at = parts.join("").replace(/^\./, "");
  return `${at === "" ? "" : `${at}: `}${issue.message}`;
}

/** Its beginning, printable and short enough for one line. */
export function quoted(output: string): string {
  const line = output.trim().slice(0, 120);
  return JSON.stringify(line);
}

/** The proof of a refusal; `null` where the class proves nothing. */
export function refusalOf(cls: ErrorClass): RefusalClass | null {
  return REFUSAL_CLASSES.find((one) => one === cls) ?? null;
}
