/** Task `DeleteObj`: deletes what a `SubmitObj` task recorded, in the background. */
import * as v from "valibot";
import { formatPlace, objectPath, patience } from "../object-call.ts";
import { readParams } from "../param.ts";
import type { Submitted } from "../state.ts";
import { TaskError, type Run, type TaskType } from "../task.ts";
import { deleteObject, forEach } from "../write.ts";

const Params = v.strictObject({
  refTaskId: v.nullish(v.string("expected a task id"), ""),
});

const PARALLEL = 8;

export const deleteSubmitted: TaskType = {
  name: "DeleteObj",
  isPrefixed: true,
  runsDry: true,
  read({ params }) {
    const { refTaskId } = readParams(Params, params);
    if (refTaskId === "") throw new TaskError("missing parameter 'refTaskId'");
    return async (run) => {
      const { objects } = run.state.submitted(refTaskId);
      await forEach(objects, PARALLEL, (object) => remove(run, object));
    };
  },
};

/** Another object that has the name by now stays. */
async function remove(run: Run, object: Submitted): Promise<void> {
  const { uid } = object;
  if (uid === null) return;
  const what = formatPlace(object);
  await deleteObject(run, { path: objectPath(object), uid, what }, patience(run));
  run.say("detail", `${what} deleted`);
}
