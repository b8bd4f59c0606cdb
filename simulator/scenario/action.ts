/** The actions of a scenario's events, each with its parameters. */
import {
  choice,
  duration,
  integer,
  number,
  own,
  prose,
  type Table,
  word,
  words,
} from "../../schema/config/field.ts";
import { LIMIT } from "../../schema/limit.ts";

export const STATUSES = ["active", "cordoned", "draining", "unhealthy", "terminated"] as const;
export const HEALTHS = ["healthy", "degraded", "unhealthy"] as const;

export const FAILURE_TYPES = [
  "xid_error",
  "temperature",
  "nvml_failure",
  "backend_error",
  "boot_failure",
  "device_error",
  "memory_error",
  "nvlink_error",
  "network",
  "pcie_error",
  "power_error",
  "preempt",
  "vm_gone",
  "hang",
  "slow_boot",
] as const;

export const COMMANDS = [
  "cordon",
  "uncordon",
  "drain",
  "terminate",
  "run_diagnostic",
  "replace",
] as const;

export const API_FAULTS = ["capacity", "quota", "auth", "throttle", "timeout", "error"] as const;
export const PLANE_DEEDS = ["pause", "kill", "restart", "wipe"] as const;

/** A provider's faults and three more: server down, slow answers, open watches without events. */
export const KUBE_FAULTS = [...API_FAULTS, "down", "latency", "watch"] as const;

/** `hold` is the annotation that keeps the product's hands off the node. */
export const KUBECTL = [
  "cordon",
  "uncordon",
  "hold",
  "unhold",
  "delete_node",
  "delete_budget",
] as const;

/** The whole node, where a GPU index stands. */
export const WHOLE_NODE = -1;

const oneOf = (all: readonly string[]): string => `one of ${all.join(", ")}`;
const rate = number("Share of the calls that fail, above 0.", { min: 0, max: 1, default: 1 });
const span = duration("How long; to the end without it.", { min: 1 });

/** Parameters of each action. */
export const PARAMS = {
  start_fleet: {},
  stop_fleet: {},
  inject_failure: {
    failure_type: choice("Kind of failure.", FAILURE_TYPES, {
      required: FAILURE_TYPES.join(", "),
      as: "type",
    }),
    xid_code: integer("XID code of `xid_error`.", { min: 0, max: 1_000_000, or: "79" }),
    gpu_index: integer("GPU, from 0; -1 is the whole node.", {
      min: WHOLE_NODE,
      max: LIMIT.gpusPerNodeMax - 1,
      default: 0,
    }),
    temperature: number("Degrees Celsius of `temperature`.", { min: 0, max: 200, or: "95" }),
    message: prose("Message of the kernel."),
  },
  recover_failure: {
    failure_type: own("Kind of failure that ends; all without it.", "text"),
  },
  issue_command: {
    command_type: choice("Command.", COMMANDS, { required: COMMANDS.join(", ") }),
    command_args: words("`reason`, `timeout`, `force`, and what is passed on.", { default: {} }),
  },
  wait_for_status: {
    expected_status: choice("Status to wait for.", STATUSES, { as: "status" }),
    expected_health: choice("Health to wait for.", HEALTHS, { as: "health" }),
    expected_event: word("Event to wait for.", { as: "event" }),
    timeout: duration("How long to wait.", { min: 0, default: 30_000 }),
  },
  wait: {},
  log: { log_message: prose("What is printed.", { as: "message" }) },
  assert: {
    assertion_type: own("As `type` of an assertion.", "text"),
    failure_type: own("Older name of `assertion_type`.", "text"),
    expected: own("As `expected` of an assertion.", "text"),
    expected_status: own("Older name of `expected`.", "text"),
  },
  set_load: {
    utilization: number("Utilisation of the GPUs in percent.", { min: 0, max: 100 }),
    pending_jobs: integer("Jobs that wait.", { min: 0 }),
    running_jobs: integer("Jobs that run.", { min: 0 }),
  },
  provider_fault: {
    kind: choice("How the provider fails.", API_FAULTS, { required: oneOf(API_FAULTS) }),
    duration: span,
    rate,
  },
  control_plane: {
    do: choice("What happens to it.", PLANE_DEEDS, { required: oneOf(PLANE_DEEDS), as: "step" }),
    duration: duration("How long it is away; required to pause.", { min: 1 }),
  },
  api_fault: {
    kind: choice("How the API server fails.", KUBE_FAULTS, { required: oneOf(KUBE_FAULTS) }),
    duration: span,
    rate,
    latency: duration("What each call takes, of `latency`.", { min: 1 }),
  },
  kubectl: {
    do: choice("What a person does.", KUBECTL, { required: oneOf(KUBECTL), as: "step" }),
  },
} as const satisfies Record<string, Table>;

export type ActionWord = keyof typeof PARAMS;
export const ACTIONS = Object.keys(PARAMS) as ActionWord[];

/** The actions that have a parameter of this name. */
export function ownersOf(key: string): ActionWord[] {
  return ACTIONS.filter((action) => Object.hasOwn(PARAMS[action], key));
}
