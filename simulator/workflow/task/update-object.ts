/**
 * Task `UpdateObj`: a merge patch of submitted objects. Their status goes to its own subresource,
 * where the resource has one; `null` deletes a key.
 */
import { type Manifest, toJson } from "../manifest.ts";
import { formatPlace, objectPath, patchAt, patience } from "../object-call.ts";
import { objectsOf, readStateParams } from "../object-state.ts";
import type { Submitted } from "../state.ts";
import { TaskError, type Run, type TaskType } from "../task.ts";
import { forEach } from "../write.ts";

const PARALLEL = 8;

export const updateObject: TaskType = {
  name: "UpdateObj",
  isPrefixed: true,
  runsDry: true,
  read({ params }) {
    const { timeout, ...about } = readStateParams(params, false);
    const { status, ...root } = about.state;
    return async (run) => {
      const { objects } = objectsOf(run, about);
      if (run.isDryRun) return;
      const deadlineMs = timeout > 0 ? run.clock.monoMs() + timeout : patience(run);
      await forEach(objects, PARALLEL, async (object) => {
        const isApart = object.resource.hasStatus && "status" in about.state;
        const own = isApart ? root : about.state;
        if (Object.keys(own).length > 0) await patch(run, object, own, "", deadlineMs);
        if (isApart) await patch(run, object, { status }, "/status", deadlineMs);
      });
    };
  },
};

async function patch(
  run: Run,
  object: Submitted,
  state: Manifest,
  part: "" | "/status",
  deadlineMs: number,
): Promise<void> {
  const { resource, name, uid } = object;
  const what = `${part === "" ? "" : "status of "}${resource.resource} ${name}`;
  const metadata = typeof state["metadata"] === "object" ? state["metadata"] : {};
  // Never another object that has the name by now.
  const body = toJson({ ...state, metadata: { ...metadata, uid: uid ?? undefined } });
  const answer = await patchAt(run, `${objectPath(object)}${part}`, body, deadlineMs);
  if (answer.kind === "refused") {
    throw new TaskError(`failed to patch ${what}: ${answer.message}`);
  }
  for (const warning of answer.warnings ?? []) run.say("detail", `${what}: ${warning}`);
  run.say("detail", `${formatPlace(object)} patched${part === "" ? "" : " (status)"}`);
}
