/** What one event does, from its `target` and `params`. */
import { fillTable } from "../../schema/config/field.ts";
import type { Section } from "../../reconciler/config/section.ts";
import { parseDuration } from "../../schema/duration.ts";
import { nearest } from "../../schema/nearest.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { xid } from "../../health/catalog/catalog.ts";
import { eventKind, readAssertion } from "./assertion.ts";
import { readApiFault, readKubectl, refuseZero } from "./kube-step.ts";
import { type Names, refuseName } from "./name.ts";
import { readPart } from "../../reconciler/config/table.ts";
import { type ActionWord, FAILURE_TYPES, PARAMS, STATUSES } from "./action.ts";
import type { ApiFault, Step, FailureType } from "./scenario.ts";
import { lineOf, wantWord, wordOf } from "./value.ts";

/** What upstream's machine always reads. */
export const TEMPERATURE = 95;
/** The code that a scheduled outage uses, too: the card has fallen off the bus. */
export const XID = 79;

/** Reads one step; `null` if it is unsound, which is then reported. */
export function readStep(
  action: ActionWord,
  event: Section,
  params: Section,
  names: Names,
): Step | null {
  switch (action) {
    case "start_fleet":
    case "stop_fleet":
      return { action };
    case "wait":
      wordOf(event, "target");
      return { action };
    case "log":
      wordOf(event, "target");
      return { action, message: readPart(params, PARAMS.log).message ?? "" };
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

function readInjection(event: Section, params: Section, names: Names): Step | null {
  const target = wantNode(event, names);
  const part = readPart(params, PARAMS.inject_failure);
  const { type, xidCode, temperature } = part;
  const failure = fillTable(PARAMS.inject_failure, part);
  const { gpuIndex } = failure;
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
  const code = type === "xid_error" ? (xidCode ?? XID) : null;
  const degrees = type === "temperature" ? (temperature ?? TEMPERATURE) : null;
  return {
    action: "inject_failure",
    target: target.id,
    failure: { ...failure, xidCode: code, temperature: degrees },
  };
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

function readCommand(event: Section, params: Section, names: Names): Step | null {
  const target = wantNode(event, names);
  const { commandType: command, commandArgs } = readPart(params, PARAMS.issue_command);
  const all = commandArgs ?? {};
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

function readWait(section: Section, params: Section, names: Names): Step | null {
  const target = wantNode(section, names);
  const part = readPart(params, PARAMS.wait_for_status);
  const event = part.event === null ? null : eventKind(params, "expected_event", part.event);
  const asked = ["expected_status", "expected_health", "expected_event"];
  if (!asked.some((key) => params.has(key))) {
    params.missing("expected_status", `one of ${STATUSES.join(", ")}`);
    return null;
  }
  if (target === null) return null;
  const found = fillTable(PARAMS.wait_for_status, part);
  return { action: "wait_for_status", target: target.id, ...found, event };
}

/** Upstream reads the kind of assertion from `failure_type`; `assertion_type` is the clear name. */
function readAssert(event: Section, params: Section, names: Names): Step | null {
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

function readLoad(event: Section, params: Section, names: Names): Step | null {
  const target = wantWord(event, "target", "a pool or a node");
  const isPool = names.pools.includes(target);
  const isNode = !isPool && names.node(target) !== null;
  if (target !== "" && !isPool && !isNode) {
    refuseName(event, "target", "pool or node", target, [...names.pools, ...names.nodes]);
  }
  const load = readPart(params, PARAMS.set_load);
  if (!Object.keys(PARAMS.set_load).some((key) => params.has(key))) {
    params.missing("utilization", "or pending_jobs, or running_jobs");
    return null;
  }
  if (!isPool && !isNode) return null;
  return { action: "set_load", target, of: isPool ? "pool" : "node", ...load };
}

function readFault(params: Section): ApiFault | null {
  const part = readPart(params, PARAMS.provider_fault);
  refuseZero(params, part.rate);
  return part.kind === null ? null : fillTable(PARAMS.provider_fault, part);
}

function readPlane(params: Section): Step | null {
  const { step, durationMs } = readPart(params, PARAMS.control_plane);
  if (step === "pause" && !params.has("duration")) {
    params.missing("duration", "a paused control plane must go on some time");
    return null;
  }
  return step === null ? null : { action: "control_plane", step, durationMs };
}
