/** Task `Sleep`: waits for a fixed time. */
import * as v from "valibot";
import { duration, readParams } from "../param.ts";
import { TaskError, type TaskType } from "../task.ts";
import { wait } from "../wait.ts";

const Params = v.strictObject({ timeout: v.nullish(duration, null) });

export const sleep: TaskType = {
  name: "Sleep",
  isPrefixed: true,
  read(task) {
    const { timeout } = readParams(Params, task.params);
    if (timeout === null) throw new TaskError("'timeout' parameter have value");
    return (run) => wait(run, timeout);
  },
};
