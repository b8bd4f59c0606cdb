/** Every task type, by the name that workflow files write. */
import type { TaskType } from "../task.ts";
import { checkConfigmap } from "../task/check-configmap.ts";
import { checkObject } from "../task/check-object.ts";
import { checkPod } from "../task/check-pod.ts";
import { checkFleet } from "../task/check-fleet.ts";
import { checkMetric } from "../task/check-metric.ts";
import { checkNode } from "../task/check-node.ts";
import { configure } from "../task/configure.ts";
import { deleteSubmitted } from "../task/delete-object.ts";
import { injectFault } from "../task/inject-fault.ts";
import { pause } from "../task/pause.ts";
import { registerObject } from "../task/register-object.ts";
import { sleep } from "../task/sleep.ts";
import { submitObject } from "../task/submit-object.ts";
import { updateNodes } from "../task/update-nodes.ts";
import { updateObject } from "../task/update-object.ts";

const ALL: readonly TaskType[] = [
  registerObject,
  submitObject,
  updateObject,
  checkObject,
  checkPod,
  checkConfigmap,
  deleteSubmitted,
  sleep,
  pause,
  configure,
  updateNodes,
  injectFault,
  checkNode,
  checkMetric,
  checkFleet,
];

export const TASK_TYPES: ReadonlyMap<string, TaskType> = new Map(
  ALL.map((type) => [type.name, type]),
);
