/** Every task type, by the name that workflow files write. */
import type { TaskType } from "./task.ts";
import { configure } from "./task/configure.ts";
import { pause } from "./task/pause.ts";
import { sleep } from "./task/sleep.ts";
import { updateNodes } from "./task/update-nodes.ts";

const ALL: readonly TaskType[] = [sleep, pause, configure, updateNodes];

export const TASK_TYPES: ReadonlyMap<string, TaskType> = new Map(
  ALL.map((type) => [type.name, type]),
);
