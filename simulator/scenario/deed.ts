/** What one event does, from its `target` and `params`. */
import type { Section } from "../../reconciler/config/section.ts";
import { parseDuration } from "../../schema/duration.ts";
import { LIMIT } from "../../schema/limit.ts";
import { nearest } from "../../schema/nearest.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { xid } from "../../health/catalog/catalog.ts";
import { eventKind, readAssertion } from "./assertion.ts";
import { readApiFault, readKubectl } from "./kube-deed.ts";
import { type Names, refuseName } from "./name.ts";
import {
  type ActionWord,
  API_FAULTS,
  type ApiFault,
  COMMANDS,
  type Deed,
  FAILURE_TYPES,
  type FailureSpec,
  type FailureType,
  HEALTHS,
  PLANE_DEEDS,
  STATUSES,
  WHOLE_NODE,
} from "./scenario.ts";
import { lineOf, wantWord, wordOf, wordsOf } from "./value.ts";

const WAIT_MS = 30_000;
/** What upstream's machine always reads. */
export const TEMPERATURE = 95;
/** The code that a scheduled outage uses, too: the card has fallen off the bus. */
export const XID = 79;

/** Reads one deed; `null` if it is unsound, which is then reported. */
export function readDeed(
  action: ActionWord,
  event: Section,
  params: Section,
  names: Names,
): Deed | null {
  switch (action) {
    case "start_fleet":
    case "stop_fleet":
      return { action };
    case "wait":
      wordOf(event, "target");
      return { action };
    case "log":
      wordOf(event, "target");
      return { action, message: wordOf(params, "log_message", true) ?? "" };
    case "inject_failure":
      return readInjection(event, params, names);
    case "recover_failure": {
      const target = wantNode(event, names);
      const type = readType(params, "failure_type");
      return target === null ? null : { action, target: target.id, type };
    }
    case "issue_command":
      return readCommand(event, params, names);
    case "wait_for_status":
      return readWait(event, params, names);
    case "assert":
      return readAssert(event, params, names);
    case "set_load":
      return readLoad(event, params, names);
    case "provider_fault": {
      const target = wantWord(event, "target", "a provider");
      const isKnown = names.providers.includes(target);
      if (target !== "" && !isKnown) {
        refuseName(event, "target", "provider", target, names.providers);
      }
      const fault = readFault(params);
      return fault === null || !isKnown ? null : { action, target, fault };
    }
    case "control_plane":
      return readPlane(params);
    case "api_fault":
      return readApiFault(event, params, names);
    case "kubectl":
      return readKubectl(event, params, names);
    default:
      return unreachable(action);
  }
}

type Target = { id: string; gpuCount: number | null };

function wantNode(event: Section, names: Names): Target | null {
  const id = wantWord(event, "target", "a node id");
  if (id === "") return null;
  const found = names.node(id);
  if (found === null) refuseName(event, "target", "node", id, names.nodes);
  return found === null ? null : { id, gpuCount: found.gpuCount };
}

function readType(params: Section, key: string): FailureType | null {
  if (wordOf(params, key) === null) return null;
  return params.choice(key, FAILURE_TYPES);
}

function readInjection(event: Section, params: Section, names: Names): Deed | null {
  const target = wantNode(event, names);
  const type = readType(params, "failure_type");
  if (!params.has("failure_type")) params.missing("failure_type", FAILURE_TYPES.join(", "));
  const xidCode = params.integer("xid_code", { min: 0, max: 1_000_000 });
  const gpuIndex =
    params.integer("gpu_index", { min: WHOLE_NODE, max: LIMIT.gpusPerNodeMax - 1 }) ?? 0;
  const temperature = params.number("temperature", { min: 0, max: 200 });
  const message = wordOf(params, "message", true);
  const count = target?.gpuCount ?? null;
  if (count !== null && gpuIndex >= count) {
    const have = `${target?.id ?? ""} has ${count}, numbered from 0`;
    params.fail("gpu_index", "range", `there is no GPU ${gpuIndex}`, have);
  }
  checkXid(params, type, xidCode);
  if (temperature !== null && type !== null && type !== "temperature") {
    const message = "has no effect on other failures than temperature";
    warn(params, "temperature", message);
  }
  if (target === null || type === null) return null;
  const failure: FailureSpec = {
    type,
    xidCode: type === "xid_error" ? (xidCode ?? XID) : null,
    gpuIndex,
    message,
    temperature: type === "temperature" ? (temperature ?? TEMPERATURE) : null,
  };
  return { action: "inject_failure", target: target.id, failure };
}

function checkXid(params: Section, type: FailureType | null, code: number | null): void {
  if (type === "xid_error" && !params.has("xid_code")) {
    const message = `is not given, so it is ${XID}`;
    params.problems.warning(params.at, `${params.path}.xid_code`, "default", message);
  }
  if (code === null) return;
  if (type !== null && type !== "xid_error") {
    warn(params, "xid_code", "has no effect on other failures than xid_error");
  } else if (xid(code) === null) {
    warn(params, "xid_code", `XID ${code} is in no catalogue, so it is judged as an unknown code`);
  }
}

function warn(section: Section, key: string, message: string): void {
  const entry = section.look(key);
  const at = entry?.value.at ?? section.at;
  section.problems.warning(at, entry?.path ?? section.path, "no_effect", message);
}

const ARGS = ["reason", "timeout", "force"];

function readCommand(event: Section, params: Section, names: Names): Deed | null {
  const target = wantNode(event, names);
  const command = params.choice("command_type", COMMANDS);
  if (!params.has("command_type")) params.missing("command_type", COMMANDS.join(", "));
  const all = wordsOf(params, "command_args");
  const timeout = all.timeout === undefined ? null : parseDuration(all.timeout);
  if (timeout?.ok === false) {
    params.map("command_args").fail("timeout", "duration", timeout.message, timeout.hint);
  }
  const force = all.force?.toLowerCase() ?? "false";
  if (force !== "true" && force !== "false") {
    params.map("command_args").fail("force", "type", "expected true or false");
  }
  for (const key of Object.keys(all)) {
    const close = ARGS.includes(key) ? null : nearest(key, ARGS);
    if (close === null) continue;
    const entry = params.look("command_args");
    const message = `${JSON.stringify(key)} is passed on as it is; did you mean "${close}"?`;
    params.problems.warning(entry?.at ?? params.at, entry?.path ?? "", "argument", message);
  }
  if (target === null || command === null) return null;
  return {
    action: "issue_command",
    target: target.id,
    command,
    reason: all.reason ?? null,
    timeoutMs: timeout?.ok === true ? timeout.ms : null,
    force: force === "true",
    args: Object.fromEntries(Object.entries(all).filter(([key]) => !ARGS.includes(key))),
  };
}

function readWait(event: Section, params: Section, names: Names): Deed | null {
  const target = wantNode(event, names);
  const status = params.choice("expected_status", STATUSES);
  const health = params.choice("expected_health", HEALTHS);
  const named = wordOf(params, "expected_event");
  const kind = named === null ? null : eventKind(params, "expected_event", named);
  const timeoutMs = params.duration("timeout", { min: 0 }) ?? WAIT_MS;
  const asked = ["expected_status", "expected_health", "expected_event"];
  if (!asked.some((key) => params.has(key))) {
    params.missing("expected_status", `one of ${STATUSES.join(", ")}`);
    return null;
  }
  if (target === null) return null;
  return {
    action: "wait_for_status",
    target: target.id,
    status,
    health,
    event: kind,
    timeoutMs,
  };
}

/** Upstream reads the kind of assertion from `failure_type`; `assertion_type` is the clear name. */
function readAssert(event: Section, params: Section, names: Names): Deed | null {
  const typeKey = params.has("assertion_type") ? "assertion_type" : "failure_type";
  if (params.has("assertion_type") && params.has("failure_type")) {
    params.fail("failure_type", "duplicate", "assertion_type says it already", "remove one");
  }
  params.look("failure_type");
  const expectedKey = params.has("expected") ? "expected" : "expected_status";
  if (params.has("expected") && params.has("expected_status")) {
    params.fail("expected_status", "duplicate", "expected says it already", "remove one");
  }
  params.look("expected_status");
  const check = readAssertion(
    {
      type: { section: params, key: typeKey },
      target: { section: event, key: "target" },
      expected: { section: params, key: expectedKey },
    },
    lineOf(event),
    names,
  );
  return check === null ? null : { action: "assert", check };
}

function readLoad(event: Section, params: Section, names: Names): Deed | null {
  const target = wantWord(event, "target", "a pool or a node");
  const isPool = names.pools.includes(target);
  const isNode = !isPool && names.node(target) !== null;
  if (target !== "" && !isPool && !isNode) {
    refuseName(event, "target", "pool or node", target, [...names.pools, ...names.nodes]);
  }
  const utilization = params.number("utilization", { min: 0, max: 100 });
  const pendingJobs = params.integer("pending_jobs", { min: 0 });
  const runningJobs = params.integer("running_jobs", { min: 0 });
  if (!["utilization", "pending_jobs", "running_jobs"].some((key) => params.has(key))) {
    params.missing("utilization", "or pending_jobs, or running_jobs");
    return null;
  }
  if (!isPool && !isNode) return null;
  const of = isPool ? "pool" : "node";
  return { action: "set_load", target, of, utilization, pendingJobs, runningJobs };
}

function readFault(params: Section): ApiFault | null {
  const kind = params.choice("kind", API_FAULTS);
  if (!params.has("kind")) params.missing("kind", `one of ${API_FAULTS.join(", ")}`);
  const durationMs = params.duration("duration", { min: 1 });
  const rate = params.number("rate", { min: 0, max: 1 });
  if (rate === 0) params.fail("rate", "range", "must be above 0", "leave it out for every call");
  return kind === null ? null : { kind, durationMs, rate: rate ?? 1 };
}

function readPlane(params: Section): Deed | null {
  const deed = params.choice("do", PLANE_DEEDS);
  if (!params.has("do")) params.missing("do", `one of ${PLANE_DEEDS.join(", ")}`);
  const durationMs = params.duration("duration", { min: 1 });
  if (deed === "pause" && !params.has("duration")) {
    params.missing("duration", "a paused control plane must go on some time");
    return null;
  }
  return deed === null ? null : { action: "control_plane", deed, durationMs };
}
