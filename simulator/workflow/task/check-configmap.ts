/** Task `CheckConfigmap`: a configmap has exactly this data, or at least this data. */
import * as v from "valibot";
import { readObject } from "../../../reconciler/kubernetes/read-field.ts";
import { patience, readPlace } from "../object-call.ts";
import { readParams, textMap } from "../param.ts";
import type { Resource } from "../state.ts";
import { TaskError, type Run, type TaskType } from "../task.ts";

const text = v.nullish(v.string("expected text"), "");
const Params = v.strictObject({
  name: text,
  namespace: text,
  data: v.nullish(textMap, {}),
  op: text,
});

const CONFIGMAPS: Resource = {
  group: "",
  version: "v1",
  resource: "configmaps",
  kind: "ConfigMap",
  isNamespaced: true,
  hasStatus: false,
};

export const checkConfigmap: TaskType = {
  name: "CheckConfigmap",
  isPrefixed: true,
  read({ params }) {
    const { name, namespace, data, op } = readParams(Params, params);
    if (name === "" || namespace === "") throw new TaskError("must specify name and namespace");
    if (op !== "equal" && op !== "subset") {
      throw new TaskError(`invalid configmap operation ${op}; supported: equal, subset`);
    }
    return async (run) => {
      const what = `configmap ${namespace}/${name}`;
      const live = await readData(run, { namespace, name }, what);
      const [has, expected] = [Object.keys(live).length, Object.keys(data).length];
      if (has < expected || (op === "equal" && has !== expected)) {
        throw new TaskError(`${what} has ${has} items; expected ${expected}`);
      }
      for (const [key, value] of Object.entries(data)) {
        const quoted = JSON.stringify(key);
        if (!Object.hasOwn(live, key)) {
          throw new TaskError(`${what} does not have key ${quoted}`);
        }
        if (live[key] === value) continue;
        run.say("detail", `${what}: ${quoted} is ${JSON.stringify(live[key])}`);
        throw new TaskError(`${what} does not match value for key ${quoted}`);
      }
    };
  },
};

type Data = Readonly<Record<string, unknown>>;

async function readData(
  run: Run,
  place: { namespace: string; name: string },
  what: string,
): Promise<Data> {
  const fail = (why: string) => new TaskError(`failed to get ${what}: ${why}`);
  const body = await readPlace(run, { resource: CONFIGMAPS, ...place }, patience(run)).catch(
    (cause: unknown) => {
      throw cause instanceof TaskError && !run.signal.aborted ? fail(cause.message) : cause;
    },
  );
  if (body === null) throw fail("it does not exist");
  const { data } = readObject<{ data: Data }>(body);
  return readObject(data);
}
