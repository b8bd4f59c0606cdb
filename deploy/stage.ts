/** Stages of virtual nodes and their pods, embedded in the binary, in the order to apply them. */
import nodeHeartbeat from "./kwok/node-heartbeat-with-lease.yaml" with { type: "text" };
import nodeInitialize from "./kwok/node-initialize.yaml" with { type: "text" };
import podComplete from "./kwok/pod-complete.yaml" with { type: "text" };
import containerFailed from "./kwok/pod-container-running-failed.yaml" with { type: "text" };
import podDelete from "./kwok/pod-delete.yaml" with { type: "text" };
import initFailed from "./kwok/pod-init-container-running-failed.yaml" with { type: "text" };
import podReady from "./kwok/pod-ready.yaml" with { type: "text" };

/** Each the text of one Stage. */
const STAGES: readonly string[] = [
  nodeInitialize,
  nodeHeartbeat,
  podReady,
  podDelete,
  initFailed,
  containerFailed,
  podComplete,
];

/** All stages as one stream for `kubectl apply -f -`; KWOK's own definition of Stage is needed. */
export function formatStages(): string {
  return `${STAGES.map((text) => text.trimEnd()).join("\n---\n")}\n`;
}
