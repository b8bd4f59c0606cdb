/**
 * Every error of the tasks that register, submit and check objects: its message, and that nothing
 * is created. A read error comes before the first task runs.
 */
import { describe, expect, test } from "bun:test";
import { readWorkflow } from "../run/read.ts";
import { runWorkflows } from "../run/run.ts";
import { openTaskRun } from "../../../test/world/task-run.ts";

const FILES: Readonly<Record<string, string>> = {
  "job.yml": `apiVersion: batch/v1
kind: Job
metadata: {name: "{{._NAME_}}"}
spec: {n: {{.n}}}
`,
  "no-version.yml": "kind: Job\n",
  "no-kind.yml": "apiVersion: batch/v1\n",
  "bad.yml": "apiVersion: batch/v1\nkind: Job\nspec: {{if .x}}\n",
  "unknown.yml": "apiVersion: example.com/v1\nkind: Nothing\n",
  "broken.yml": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a\n",
  "nameless.yml": "apiVersion: batch/v1\nkind: Job\nspec: {}\n",
};

const formed = (params: string) => `- {id: reg, type: RegisterObj, params: {${params}}}`;
const REGISTER = formed('template: job.yml, nameFormat: "job{{._ENUM_}}"');
const COUNT = 'podNameFormat: "{{._NAME_}}-.", podCount: "{{.n}} + 1"';
const PODS = formed(`template: job.yml, nameFormat: "j{{._ENUM_}}", ${COUNT}`);

const registerObj = (params: string) => `- {id: x, type: RegisterObj, params: {${params}}}`;
const submitObj = (params: string) => `- {id: x, type: SubmitObj, params: {${params}}}`;
const of = (type: string, params: string) => `- {id: x, type: ${type}, params: {${params}}}`;

/** Tasks, the error, and how many objects were created before it. */
const ERRORS: readonly (readonly [string[], string, number?])[] = [
  [[registerObj("")], "RegisterObj/x: must specify template"],
  [[registerObj("template: gone.yml")], "RegisterObj/x: failed to read gone.yml: no such file"],
  [
    [registerObj("template: no-version.yml")],
    "RegisterObj/x: failed to fetch 'apiVersion' from template no-version.yml",
  ],
  [
    [registerObj("template: no-kind.yml")],
    "RegisterObj/x: failed to fetch 'kind' from template no-kind.yml",
  ],
  [
    [registerObj("template: bad.yml")],
    "RegisterObj/x: failed to parse template bad.yml: line 3, column 7: {{if}} is not closed",
  ],
  [
    [registerObj('template: job.yml, podNameFormat: "{{", podCount: "1"')],
    "RegisterObj/x: failed to parse podname template: line 1, column 1: the action is not closed",
  ],
  [
    [registerObj('template: job.yml, podNameFormat: "a", podCount: "{{"')],
    "RegisterObj/x: failed to parse podcount template: line 1, column 1: the action is not closed",
  ],
  [
    [registerObj('template: job.yml, podCount: "1"')],
    "RegisterObj/x: must define podNameFormat with podCount",
  ],
  [
    [registerObj('template: job.yml, podNameFormat: "a"')],
    "RegisterObj/x: must define podCount with podNameFormat",
  ],
  [
    [registerObj("template: unknown.yml")],
    "RegisterObj/x: failed to find resource for example.com/v1, Kind=Nothing: example.com/v1 has " +
      "no kind Nothing; install the CustomResourceDefinition of kind Nothing in group example.com",
  ],
  [[REGISTER, REGISTER], "RegisterObj/reg: SetObjType: duplicate task ID reg"],
  [
    [registerObj("template: {a: b}")],
    "RegisterObj/x: failed to parse parameters: template: expected text",
  ],
  [
    [registerObj("templates: job.yml")],
    'RegisterObj/x: failed to parse parameters: unknown key "templates": did you mean "template"?',
  ],

  [[submitObj("")], "SubmitObj/x: must specify refTaskId"],
  [[submitObj("refTaskId: reg, count: -1")], "SubmitObj/x: 'count' must be a positive number"],
  [[submitObj("refTaskId: reg, count: 0")], "SubmitObj/x: 'count' must be a positive number"],
  [
    [submitObj("refTaskId: reg, count: false")],
    "SubmitObj/x: failed to parse parameters: count: expected a whole number",
  ],
  [[submitObj("refTaskId: gone")], "SubmitObj/x: unreferenced task ID gone"],
  [
    [registerObj("template: job.yml"), submitObj("refTaskId: gone")],
    "SubmitObj/x: unreferenced task ID gone; RegisterObj tasks that ran: x",
  ],
  [
    [registerObj("template: job.yml"), submitObj("refTaskId: x, count: 2")],
    "SubmitObj/x: multi-instance objects must specify 'nameFormat' during object registration",
  ],
  [
    [PODS, submitObj("refTaskId: reg, params: {n: two}")],
    'SubmitObj/x: failed to evaluate pod count two + 1: unexpected "t"',
  ],
  [
    [REGISTER, submitObj("refTaskId: reg"), submitObj("refTaskId: reg")],
    "SubmitObj/x: SetObjInfo: duplicate taskID x",
    1,
  ],
  [
    [formed("template: job.yml, nameFormat: same"), submitObj("refTaskId: reg, count: 2")],
    "SubmitObj/x: failed to create resource batch/v1, Resource=jobs same: " +
      'jobs.batch "same" already exists',
    1,
  ],
  [
    [registerObj("template: broken.yml"), submitObj("refTaskId: x")],
    "SubmitObj/x: failed to read batch/v1, Kind=Job of the template: line ",
  ],
  [
    [registerObj("template: nameless.yml"), submitObj("refTaskId: x")],
    "SubmitObj/x: failed to read batch/v1, Kind=Job of the template: metadata has neither name " +
      "nor generateName",
  ],

  ...["UpdateObj", "CheckObj"].flatMap((type): [string[], string, number?][] => [
    [[of(type, "state: {a: 1}")], `${type}/x: missing parameter 'refTaskId'`],
    [[of(type, "refTaskId: x")], `${type}/x: missing parameter 'state'`],
    [[of(type, "refTaskId: gone, state: {a: 1}")], `${type}/x: unreferenced task ID gone`],
    [
      [of(type, "refTaskId: x, state: {a: 1}, timeout: 5")],
      `${type}/x: failed to parse parameters: timeout: expected a duration such as 30s`,
    ],
    [
      [REGISTER, submitObj("refTaskId: reg"), of(type, "refTaskId: x, index: 3, state: {a: 1}")],
      `${type}/x: index 3 is out of range: the template of x has 1 block, numbered from 0`,
      1,
    ],
  ]),
  [
    [REGISTER, submitObj("refTaskId: reg"), of("CheckObj", "refTaskId: x, state: {a: 1}")],
    "CheckObj/x: failed to validate jobs [job1]: state mismatch in jobs job1: a: expected 1, " +
      "found nothing",
    1,
  ],
  [
    [
      REGISTER,
      submitObj("refTaskId: reg"),
      of("CheckObj", "refTaskId: x, state: {a: 1}, timeout: 1s"),
    ],
    "CheckObj/x: context deadline exceeded: failed to validate jobs [job1]: state mismatch in " +
      "jobs job1: a: expected 1, found nothing",
    1,
  ],

  [[of("DeleteObj", "")], "DeleteObj/x: missing parameter 'refTaskId'"],
  [[of("DeleteObj", "refTaskId: gone")], "DeleteObj/x: unreferenced task ID gone"],

  [[of("CheckPod", "status: Running")], "CheckPod/x: missing parameter 'refTaskId'"],
  [[of("CheckPod", "refTaskId: x")], "CheckPod/x: missing parameters 'status' and/or 'nodeLabels'"],
  [[of("CheckPod", "refTaskId: gone, status: Running")], "CheckPod/x: unreferenced task ID gone"],
  [
    [REGISTER, submitObj("refTaskId: reg"), of("CheckPod", "refTaskId: x, status: Running")],
    "CheckPod/x: no pods to check",
    1,
  ],
  [
    [
      PODS,
      submitObj("refTaskId: reg, params: {n: 1}"),
      of("CheckPod", "refTaskId: x, status: Running"),
    ],
    "CheckPod/x: verified 0 pods, expected 2",
    1,
  ],
  [
    [
      PODS,
      submitObj("refTaskId: reg, params: {n: 1}"),
      of("CheckPod", "refTaskId: x, status: Running, timeout: 1s"),
    ],
    "CheckPod/x: context deadline exceeded: 0 of 2 pods reached Running; 2 pods do not exist",
    1,
  ],
  [
    [
      formed('template: job.yml, nameFormat: a, podNameFormat: "(", podCount: 1'),
      submitObj("refTaskId: reg"),
      of("CheckPod", "refTaskId: x, status: Running"),
    ],
    "CheckPod/x: failed to compile regexp '('",
    1,
  ],

  ...[
    ["op: equal", "must specify name and namespace"],
    ["name: a, op: equal", "must specify name and namespace"],
    [
      "name: a, namespace: b, op: same",
      "invalid configmap operation same; supported: equal, subset",
    ],
    ["name: a, namespace: b", "invalid configmap operation ; supported: equal, subset"],
    ["name: a, namespace: b, op: equal", "failed to get configmap b/a: it does not exist"],
  ].map(([params = "", message = ""]): [string[], string] => [
    [of("CheckConfigmap", params)],
    `CheckConfigmap/x: ${message}`,
  ]),
];

async function run(tasks: readonly string[], isDryRun = false) {
  const world = openTaskRun();
  for (const [path, text] of Object.entries(FILES)) world.files.set(path, text);
  const read = readWorkflow(`name: errors\ntasks:\n${tasks.join("\n")}\n`, "w.yml");
  if (!read.ok) return { status: "failed", message: read.message, created: 0 };
  let isOver = false;
  const running = runWorkflows([read.workflow], { ...world.run, isDryRun }).finally(
    () => (isOver = true),
  );
  for (let step = 0; step < 5_000 && !isOver; step += 1) await world.clock.pass(50);
  const { status, message } = await running;
  return { status, message, created: world.server.objects.size };
}

const SUBMITTED = [PODS, submitObj("refTaskId: reg, params: {n: 1}")];

test.each<[string[], string]>([
  [[of("UpdateObj", "refTaskId: gone, state: {a: 1}")], "UpdateObj/x: unreferenced task ID gone"],
  [[of("CheckObj", "refTaskId: gone, state: {a: 1}")], "CheckObj/x: unreferenced task ID gone"],
  [
    [of("CheckObj", "refTaskId: x, index: 3, state: {a: 1}")],
    "CheckObj/x: index 3 is out of range",
  ],
  [[of("CheckPod", "refTaskId: gone, status: Running")], "CheckPod/x: unreferenced task ID gone"],
  [[of("DeleteObj", "refTaskId: gone")], "DeleteObj/x: unreferenced task ID gone"],
  [[of("CheckNode", "refTaskId: x, state: {a: 1}")], "CheckNode/x: unreferenced task ID x"],
  [[of("InjectFault", "refTaskId: x, clear: true")], "InjectFault/x: unreferenced task ID x"],
])("a dry run follows every reference: %s", async (tasks, message) => {
  const result = await run([...SUBMITTED, ...tasks], true);
  expect(result.message?.replace(/^w\.yml: /, "")).toStartWith(message);
  expect(result).toMatchObject({ status: "failed", created: 0 });
});

test("a dry run compiles the expressions of pods, and passes what refers to tasks before it", async () => {
  const named = (format: string, then: readonly string[]) =>
    run(
      [
        formed(`template: job.yml, nameFormat: a, podNameFormat: "${format}", podCount: 1`),
        ...then,
      ],
      true,
    );
  const pod = of("CheckPod", "refTaskId: x, status: Running, timeout: 1h");
  const bad = await named("(", [submitObj("refTaskId: reg"), pod]);
  expect(bad.message).toContain("CheckPod/x: failed to compile regexp '('");
  const rest = [of("CheckObj", "refTaskId: x, state: {a: 1}"), of("DeleteObj", "refTaskId: x")];
  const good = await named("a-.", [submitObj("refTaskId: reg"), pod, ...rest]);
  expect(good).toEqual({ status: "passed", message: null, created: 0 });
});

test.each([
  ["running", '; did you mean "Running"?'],
  ["Done", ""],
])("CheckPod with the phase %s is refused at reading", async (status, hint) => {
  const phases = "Pending, Running, Succeeded, Failed, Unknown";
  expect(await run([...SUBMITTED, of("CheckPod", `refTaskId: x, status: ${status}`)])).toEqual({
    status: "failed",
    message: `CheckPod/x: failed to parse parameters: status: no pod has the phase "${status}": expected ${phases}${hint}`,
    created: 0,
  });
});

describe("errors of objects", () => {
  test.each(ERRORS.map(([tasks, message, created = 0]) => ({ tasks, message, created })))(
    "A6: $message",
    async ({ tasks, message, created }) => {
      const result = await run(tasks);
      expect(result.message?.replace(/^w\.yml: /, "")).toStartWith(message);
      expect(result).toMatchObject({ status: "failed", created });
    },
  );
});
