/**
 * What `navarch` and the executable of a `command` provider say to each other, version 1: one JSON
 * object on its standard input, one on its standard output (docs/provider-command.md). Pure.
 */
import * as v from "valibot";
import { InstanceId } from "../../../schema/id.ts";
import { finite } from "../../../schema/number.ts";
import {
  type CreateRequest,
  type Fence,
  type Instance,
  INSTANCE_STATES,
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
    created_at: v.pipe(v.string(), v.isoTimestamp("must be an RFC 3339 time")),
    price_per_hour: v.nullish(v.pipe(finite, v.minValue(0, "must not be negative")), null),
    host_keys: v.nullish(v.pipe(v.array(text), v.maxLength(16)), null),
  }),
  v.transform(
    (one): Instance => ({
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
      createdAtMs: Date.parse(one.created_at),
      pricePerHour: one.price_per_hour,
      hostKeys: one.host_keys,
      failure: null,
      notice: null,
    }),
  ),
);

const Failure = v.object({
  class: v.picklist(ERROR_CLASSES),
  message: v.pipe(v.string(), v.maxLength(4_096)),
  retry_after_seconds: v.nullish(v.pipe(finite, v.minValue(0), v.maxValue(86_400)), null),
});

const version = v.literal(PROTOCOL_VERSION, `must be ${PROTOCOL_VERSION}`);
const Failed = v.object({ version, error: Failure });
const all = v.pipe(v.array(ReplyInstance), v.maxLength(INSTANCES_MAX));
const REPLIES = {
  create: v.object({ version, instance: ReplyInstance }),
  list: v.object({ version, instances: all }),
  terminate: v.object({ version, accepted: v.literal(true) }),
  reboot: v.object({ version, accepted: v.literal(true) }),
};
export type Operation = keyof typeof REPLIES;

export type CommandRequest = { operation: Operation } & Record<string, unknown>;

/** What the executable reads. Names are those of the reply. */
export function createRequest(request: CreateRequest, fence: Fence): CommandRequest {
  const { token, name, nodeId, region, zone, instanceType, tags, sshKeys } = request;
  const asked = { token, name, node: nodeId, region, zone, instance_type: instanceType, tags };
  return { operation: "create", ...fenceOf(fence), request: { ...asked, ssh_keys: sshKeys } };
}

export function instanceRequest(
  operation: "terminate" | "reboot",
  id: InstanceId,
  fence: Fence,
): CommandRequest {
  return { operation, ...fenceOf(fence), instance: { id } };
}

function fenceOf({ nodeId, fence, sessionId }: Fence) {
  return { fence: { node: nodeId, number: fence, session: sessionId } };
}

export type Reply =
  | { kind: "ok"; instances: Instance[] }
  | { kind: "error"; class: ErrorClass; message: string; retryAfterMs: number | null }
  | { kind: "unreadable"; message: string };

/** Reads what the executable printed. Whatever is not exactly a reply is `unreadable`. */
export function readReply(operation: Operation, output: string): Reply {
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
    const retryAfterMs = seconds === null ? null : seconds * 1_000;
    return { kind: "error", class: cls, message, retryAfterMs };
  }
  const isError = typeof value === "object" && value !== null && "error" in value;
  const read = isError ? failed : v.safeParse(REPLIES[operation], value);
  if (!read.success) return { kind: "unreadable", message: formatIssue(read.issues[0]) };
  const { output: reply } = read;
  if ("instance" in reply) return { kind: "ok", instances: [reply.instance] };
  return { kind: "ok", instances: "instances" in reply ? reply.instances : [] };
}

function formatIssue(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue) ?? "";
  const at = path.replace(/\.(\d+)(?=\.|$)/g, "[$1]");
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
