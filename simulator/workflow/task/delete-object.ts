/** Task `DeleteObj`: deletes what a `SubmitObj` task recorded, in the background. */
import * as v from "valibot";
import { deleteObject, formatPlace, inParallel, objectPath } from "../object-call.ts";
import { readParams } from "../param.ts";
import type { Submitted } from "../state.ts";
import { TaskError, type Run, type TaskType } from "../task.ts";

const Params = v.strictObject({
  refTaskId: v.nullish(v.string("expected a task id"), ""),
});

const PARALLEL = 8;

export const deleteSubmitted: TaskType = {
  name: "DeleteObj",
  isPrefixed: true,
  read({ params }) {
    const { refTaskId } = readParams(Params, params);
    if (refTaskId === "") throw new TaskError("missing parameter 'refTaskId'");
    return async (run) => {
      const { objects } = run.state.submitted(refTaskId);
      if (run.isDryRun) return;
      await inParallel(objects, PARALLEL, (object) => remove(run, object));
    };
  },
};

async function remove(run: Run, object: Submitted): Promise<void> {
  const { uid } = object;
  if (uid === null) return;
  const answer = await deleteObject(run, { ...object, uid });
  run.made.drop(objectPath(object));
  const name = formatPlace(object);
  if (answer === "replaced") run.say("warning", `${name} is another object by now, and stays`);
  else run.say("detail", answer === "deleted" ? `${name} deleted` : `${name} is gone already`);
}
