/**
 * Sends workflow files to a server in order, up to the first that fails: to `navarch sim -port`,
 * which answers when a run has ended, or to a control plane, whose output is followed.
 *
 * Adapter: speaks HTTP.
 */
import { trimEnd } from "../schema/trim.ts";
import type { WorkflowEvent, WorkflowEventsPage, WorkflowRunView } from "../schema/workflow.ts";
import { readText as readBody } from "../reconciler/core/reply.ts";
import { expandList } from "../simulator/workflow/file-list.ts";
import { readWorkflow, type Workflow } from "../simulator/workflow/run/read.ts";
import type { Answer, Client } from "./client.ts";
import { connectGo } from "./connect.ts";
import { EXIT, type Failure } from "./failure.ts";
import type { GoFlags } from "./go-flag.ts";
import { openSay } from "./workflow.ts";
import { drawKey, FileError, listFiles, readTemplate, readText } from "./workflow-file.ts";
import type { World } from "./world.ts";

type File = { path: string; text: string; workflow: Workflow };

/** The message is the last line. */
class Unsent extends Error {}

/** Exit status: 0 done, 1 failed. */
export async function submitWorkflows(
  world: World,
  flags: GoFlags,
  isPlane: boolean,
): Promise<number> {
  try {
    const files = await readFiles(flags.text("workflow"));
    if (isPlane) await submitToPlane(world, flags, files);
    else await postAll(world, urlOf(flags.text("address")), files);
    return EXIT.done;
  } catch (cause) {
    if (!(cause instanceof Unsent || cause instanceof FileError)) throw cause;
    world.err(`error: ${cause.message}\n`);
    return EXIT.failed;
  }
}

/** All files, before the first is sent. */
async function readFiles(list: string): Promise<File[]> {
  const expanded = expandList(list);
  if (!expanded.ok) throw new Unsent(expanded.message);
  const files: File[] = [];
  for (const path of await listFiles(expanded.items)) {
    const text = await readText(path);
    const read = readWorkflow(text, path);
    if (!read.ok) throw new Unsent(`${path}: ${read.message}`);
    files.push({ path, text, workflow: read.workflow });
  }
  return files;
}

function urlOf(address: string): string {
  const url = URL.parse(/^https?:\/\//i.test(address) ? address : `http://${address}`);
  if (url === null) throw new Unsent(`'address' ${JSON.stringify(address)} is no URL`);
  url.pathname = `${trimEnd(url.pathname, "/").replace(/\/workflow$/, "")}/workflow`;
  return url.href;
}

/** It is empty, or says what failed. */
const ANSWER_BYTES_MAX = 1024 * 1024;

async function postAll(world: World, url: string, files: readonly File[]): Promise<void> {
  for (const { path, text, workflow } of files) {
    world.out(`Starting workflow ${workflow.name}\n`);
    const headers = { "Content-Type": "application/x-yaml" };
    const init: BunFetchRequestInit = { method: "POST", headers, body: text, redirect: "error" };
    // The answer comes when the run has ended, which takes as long as its tasks.
    const answer = await fetch(url, { ...init, timeout: false }).catch((cause: unknown) => {
      throw new Unsent(`${path}: ${url} does not answer: ${messageOf(cause)}`);
    });
    const body = await readBody(answer, ANSWER_BYTES_MAX).catch((cause: unknown) => {
      throw new Unsent(`${path}: the answer of ${url} broke off: ${messageOf(cause)}`);
    });
    if (body === null) throw new Unsent(`${path}: the answer of ${url} is too large`);
    if (answer.status === 200) continue;
    throw new Unsent(`${path}: ${answer.status} ${answer.statusText}: ${body.trim()}`);
  }
}

const messageOf = (cause: unknown): string =>
  cause instanceof Error ? cause.message : String(cause);

/** Of one request, apart from its wait for news. */
const REQUEST_MS = 30_000;
const WAIT_MS = 10_000;
/** A leader may move meanwhile. */
const SILENCE_MS_MAX = 60_000;
const AGAIN_MS = 1_000;
const ATTEMPTS_MAX = 3;

async function submitToPlane(world: World, flags: GoFlags, files: readonly File[]): Promise<void> {
  const client = connectGo(world, flags, REQUEST_MS);
  if ("ok" in client) throw new Unsent(client.message);
  const isCleaning = flags.on("cleanup");
  for (const file of files) {
    const body = { workflow: file.text, templates: await readTemplates(file) };
    const to = `/workflows${isCleaning ? "?cleanup=true" : ""}`;
    const answer = await submitOnce(world, client, to, body);
    if (!answer.ok) throw new Unsent(`${file.path}: ${answer.message}`);
    const { id } = answer.value;
    world.err(`workflow ${id} at ${client.address.url}: ${file.workflow.name}\n`);
    const run = await follow(world, client, id, flags.number("v"));
    if (run.state === "passed") continue;
    throw new Unsent(`${file.path}: ${run.state}: ${run.error ?? "no reason is known"}`);
  }
}

/** A request whose answer was lost is repeated under the same key, which makes one run. */
async function submitOnce(
  world: World,
  client: Client,
  to: string,
  body: Record<string, unknown>,
): Promise<Answer<WorkflowRunView> | Failure> {
  const key = drawKey();
  for (let attempt = 1; ; attempt += 1) {
    const answer = await client.send<WorkflowRunView>("POST", to, ["id", "state"], body, key);
    const isPassing = !answer.ok && answer.exit === EXIT.unreachable;
    if (!isPassing || attempt === ATTEMPTS_MAX) return answer;
    await world.sleep(AGAIN_MS);
  }
}

/** By the paths in the workflow: the control plane reads no file of its own. */
async function readTemplates({ path, workflow }: File): Promise<Record<string, string>> {
  const templates: Record<string, string> = {};
  for (const { document } of workflow.tasks) {
    const named: unknown = Reflect.get(Object(document.params), "template");
    if (document.type !== "RegisterObj" || typeof named !== "string") continue;
    templates[named] = await readTemplate(named, path);
  }
  return templates;
}

async function follow(
  world: World,
  client: Client,
  id: string,
  verbosity: number,
): Promise<WorkflowRunView> {
  const say = openSay(world, verbosity);
  const keys = ["events", "next", "ended"];
  let after = 0;
  let heardMs = world.monoMs();
  for (;;) {
    const query = { after: String(after), wait_ms: String(WAIT_MS) };
    const page = await client.get<WorkflowEventsPage>(`/workflows/${id}/events`, keys, query);
    if (page.ok) {
      heardMs = world.monoMs();
      const { events, dropped, next, ended } = page.value;
      if (dropped > 0) say("warning", `${dropped} lines of output are no longer kept`);
      for (const event of events) sayEvent(event, say);
      after = next;
      if (ended) return readRun(client, id);
    } else if (page.code === "not_found") return readRun(client, id);
    else {
      const isPassing = page.exit === EXIT.unreachable && world.monoMs() - heardMs < SILENCE_MS_MAX;
      if (!isPassing) throw new Unsent(`workflow ${id}: ${page.message}`);
      await world.sleep(AGAIN_MS);
    }
  }
}

function sayEvent(event: WorkflowEvent, say: ReturnType<typeof openSay>): void {
  if (event.kind === "line") say(event.level, event.text);
}

async function readRun(client: Client, id: string): Promise<WorkflowRunView> {
  const answer = await client.get<WorkflowRunView>(`/workflows/${id}`, ["id", "state"]);
  if (answer.ok) return answer.value;
  const failed: Failure = answer;
  throw new Unsent(`workflow ${id}: ${failed.message}`);
}
