/** Task `RegisterObj`: reads a template file and finds the resource of each of its blocks. */
import * as v from "valibot";
import { finite } from "../../../schema/number.ts";
import { findResource } from "../discover.ts";
import { readParams } from "../param.ts";
import type { Registered } from "../state.ts";
import { TaskError, type Run, type Task, type TaskType } from "../task.ts";
import { checkTemplate, cutBlocks, formatKind } from "../template-file.ts";

/** A number stands for itself: `podCount: 2`. */
const text = v.nullish(
  v.pipe(v.union([v.string(), finite], "expected text"), v.transform(String)),
  "",
);

const Params = v.strictObject({
  template: text,
  nameFormat: text,
  podNameFormat: text,
  podCount: text,
});

const BLOCKS_MAX = 1_000;

export const registerObject: TaskType = {
  name: "RegisterObj",
  isPrefixed: true,
  runsDry: true,
  read({ id, params }) {
    const { template, nameFormat, podNameFormat, podCount } = readParams(Params, params);
    if (template === "") throw new TaskError("must specify template");
    checkTemplate(nameFormat, 1, "failed to parse name template");
    checkTemplate(podNameFormat, 1, "failed to parse podname template");
    checkTemplate(podCount, 1, "failed to parse podcount template");
    if (podCount !== "" && podNameFormat === "") {
      throw new TaskError("must define podNameFormat with podCount");
    }
    if (podNameFormat !== "" && podCount === "") {
      throw new TaskError("must define podCount with podNameFormat");
    }
    const given = { template, nameFormat, podNameFormat, podCount };
    return register(id, given);
  },
};

type Given = { template: string; nameFormat: string; podNameFormat: string; podCount: string };

function register(id: string, given: Given): Task {
  return async (run) => {
    const { template } = given;
    const blocks = cutBlocks(await readTemplate(run, template), template);
    if (blocks.length > BLOCKS_MAX) {
      throw new TaskError(`template ${template} has more than ${BLOCKS_MAX} blocks`);
    }
    const found: Registered["blocks"][number][] = [];
    const known = new Map<string, Registered["blocks"][number]["resource"]>();
    for (const { gvk, body, line } of blocks) {
      const name = formatKind(gvk);
      const resource = known.get(name) ?? (await findResource(run, gvk));
      known.set(name, resource);
      run.say("detail", `Register ${name}`);
      found.push({ resource, body, line });
    }
    const orNone = (one: string) => (one === "" ? null : one);
    run.state.register(id, {
      template,
      blocks: found,
      nameFormat: orNone(given.nameFormat),
      podNameFormat: orNone(given.podNameFormat),
      podCount: orNone(given.podCount),
    });
  };
}

async function readTemplate(run: Run, path: string): Promise<string> {
  try {
    return await run.readText(path);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TaskError(`failed to read ${path}: ${why}`);
  }
}
