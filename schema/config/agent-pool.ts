/** Keys of `agent_pools`: pools in velda's form, each with the key of a pool that it sets. */
import { duration, integer, mapping, metaOf, own, prose, text } from "./field.ts";
import { SCALING } from "./pool.ts";

const { max: NODES_MAX } = metaOf(SCALING.max_nodes);
const idle = (help: string) => own(help, "anything", { unused: true });

/** `default` is what velda takes for a number that is not written, where ours differs. */
export const AGENT_SCALER = {
  min_agents: integer("Fewest workers.", {
    ...{ min: 0, max: NODES_MAX, default: 0 },
    to: ["scaling", "min_nodes"],
  }),
  max_agents: integer("Most workers.", {
    ...{ min: 1, max: NODES_MAX, or: "required" },
    to: ["scaling", "max_nodes"],
  }),
  min_idle_agents: integer("Free slots that are kept ready.", {
    ...{ min: 0, default: 0 },
    to: ["scaling", "autoscaler", "min_idle"],
  }),
  max_idle_agents: integer("Free slots above which idle workers leave.", {
    min: 0,
    to: ["scaling", "autoscaler", "max_idle"],
  }),
  default_slots_per_agent: integer("Jobs that one worker serves at once.", {
    ...{ min: 1, max: 1_000, or: "1" },
    to: ["scaling", "autoscaler", "slots_per_node"],
  }),
  idle_decay: duration("How long one worker too many stays before it leaves.", {
    default: 0,
    to: ["scaling", "autoscaler", "idle_decay"],
  }),
  initial_delay: idle("Pause before the first worker."),
  sync_loop_interval: idle("How often workers are listed."),
  scale_up_error_retry_delay: idle("Pause after a start that failed."),
  allocation_error_reset_after: idle("How long a refusal is remembered."),
  metadata: idle("Words about the pool."),
  kill_unknown_after: own("Accepted as zero: workers of others are left alone.", "anything"),
  mode: own("Accepted as `MODE_STANDARD`.", "anything"),
};

export const AGENT_SCRIPTS = {
  start: prose("Script that starts a worker and prints its name."),
  stop: prose("Script that ends the worker `$1`."),
  list: prose("Script that prints each worker on a line."),
  batch_start: prose("Script that starts `$1` workers with the label `$2`."),
};

export const AGENT_POOL = {
  name: text("Name of the pool and of its provider.", { required: true }),
  auto_scaler: mapping("How many workers there are.", {
    ...AGENT_SCALER,
    backend: mapping("What starts them.", {
      command: mapping("Scripts of bash.", AGENT_SCRIPTS),
    }),
  }),
};
