/** An instance as EC2 describes it, in the port's words (docs/reference/aws.md#states). Pure. */
import * as v from "valibot";
import { InstanceId } from "../../../schema/id.ts";
import type { Instance, InstanceState, Notice, RefusalClass } from "../../core/provider.ts";
import { itemsAt, textAt, type Xml } from "./xml.ts";
import { parseInstant } from "../../../schema/instant.ts";

const STATES = new Map<string, InstanceState>([
  ["pending", "provisioning"],
  ["running", "running"],
  ["shutting-down", "terminating"],
  ["terminated", "terminated"],
  ["stopping", "stopped"],
  ["stopped", "stopped"],
]);

/** Why EC2 itself ended an instance that it had accepted. */
const ENDS = new Map<string, RefusalClass>([
  ["Server.InsufficientInstanceCapacity", "capacity"],
  // Nothing tells more; another place may do.
  ["Server.InternalError", "capacity"],
  ["Client.VolumeLimitExceeded", "quota"],
  // A disk's key or snapshot that this account may not use.
  ["Client.InternalError", "bad_request"],
  ["Client.InvalidSnapshot.NotFound", "bad_request"],
]);
const SPOT_ENDS = new Set(["Server.SpotInstanceTermination", "Server.SpotInstanceShutdown"]);

/** `null`: the reply names no instance. */
export function instanceOf(item: Xml, region: string): Instance | null {
  const id = v.safeParse(InstanceId, textAt(item, "instanceId"));
  if (!id.success) return null;
  const tags = tagsAt(item, "tagSet");
  const startedAt = parseInstant(textAt(item, "launchTime") ?? "");
  // An unknown state never counts as terminated.
  const state = STATES.get(textAt(item, "instanceState", "name") ?? "") ?? "running";
  return {
    id: id.output,
    name: tags["Name"] ?? "",
    token: textAt(item, "clientToken"),
    state,
    tags,
    region,
    zone: textAt(item, "placement", "availabilityZone"),
    instanceType: textAt(item, "instanceType") ?? "",
    internalIp: textAt(item, "privateIpAddress"),
    externalIp: textAt(item, "ipAddress"),
    // Unknown counts as old: such an instance may have served.
    createdAtMs: Number.isNaN(startedAt) ? 0 : startedAt,
    pricePerHour: null,
    hostKeys: null,
    ...endOf(item, state),
  };
}

/** A stop that was asked for is neither. */
function endOf(item: Xml, state: InstanceState): Pick<Instance, "failure" | "notice"> {
  const none = { failure: null, notice: null };
  const code = textAt(item, "stateReason", "code");
  if (code === null || state === "provisioning" || state === "running") return none;
  const message = `${code}: ${textAt(item, "stateReason", "message") ?? ""}`.slice(0, 300);
  if (SPOT_ENDS.has(code)) {
    return { ...none, notice: { kind: "preemption", atMs: null, message } };
  }
  const cls = ENDS.get(code);
  return cls === undefined ? none : { ...none, failure: { class: cls, message } };
}

export function tagsAt(xml: Xml, ...path: string[]): Record<string, string> {
  const pairs = itemsAt(xml, ...path).map((tag) => {
    return [textAt(tag, "key") ?? "", textAt(tag, "value") ?? ""] as const;
  });
  return Object.fromEntries(pairs);
}

/** Planned events that interrupt a machine; EC2 keeps finished ones listed for a while. */
export const EVENT_CODES = [
  "instance-reboot",
  "system-reboot",
  "system-maintenance",
  "instance-retirement",
  "instance-stop",
] as const;

/** The next planned event of each instance, from the entries of DescribeInstanceStatus. */
export function noticesOf(statuses: readonly Xml[]): Map<string, Notice> {
  const notices = new Map<string, Notice>();
  for (const status of statuses) {
    const id = textAt(status, "instanceId");
    const events = itemsAt(status, "eventsSet").flatMap((event) => noticeOf(event) ?? []);
    const [next] = events.sort((a, b) => (a.atMs ?? 0) - (b.atMs ?? 0));
    if (id !== null && next !== undefined) notices.set(id, next);
  }
  return notices;
}

function noticeOf(event: Xml): Notice | null {
  const code = textAt(event, "code") ?? "";
  const said = textAt(event, "description") ?? "";
  const isPlanned = (EVENT_CODES as readonly string[]).includes(code);
  // "[Completed] …" and "[Canceled] …" are how EC2 marks what is over.
  if (!isPlanned || /^\[(completed|cancell?ed)\]/i.test(said)) return null;
  const atMs = parseInstant(textAt(event, "notBefore") ?? "");
  const message = `${code}: ${said}`.slice(0, 300);
  return { kind: "maintenance", atMs: Number.isNaN(atMs) ? null : atMs, message };
}
