/**
 * Renders what a `SubmitObj` task creates: each object's manifests, its pods' names and their
 * count. Everything is rendered before anything is created, so that a bad template creates nothing.
 */
import { evaluateCount } from "./count.ts";
import { isMap, type Manifest, readManifest } from "./manifest.ts";
import { withTextLabels } from "./param.ts";
import type { Block, Registered } from "./state.ts";
import { TaskError, type Run } from "./task.ts";
import { type Fill, formatKind, type Params, prepare } from "./template-file.ts";
import { wait } from "./wait.ts";

export type Wanted = {
  block: number;
  resource: Block["resource"];
  namespace: string | null;
  /** Ends with a drawn suffix where the manifest has `generateName` alone. */
  name: string;
  /** The start of the name that a suffix is drawn for. */
  generateName: string | null;
  manifest: Manifest;
};

export type Rendered = { objects: Wanted[][]; podNames: string[]; podCount: number };

type Fills = {
  name: Fill | null;
  blocks: readonly { block: Block; fill: Fill }[];
  podName: Fill | null;
  podCount: Fill | null;
};

/** Objects between two looks at what else the process has to do: some milliseconds. */
const AT_ONCE = 20;

/** Throws `TaskError`. */
export async function renderSubmission(
  run: Run,
  registered: Registered,
  { count, params }: { count: number; params: Params },
): Promise<Rendered> {
  const fills = prepareAll(run, registered);
  const rendered: Rendered = { objects: [], podNames: [], podCount: 0 };
  const isCounted = registered.nameFormat !== null || usesCounter(registered);
  for (let done = 0; done < count; done += 1) {
    const own: Params = isCounted ? { ...params, _ENUM_: run.state.nextEnum() } : params;
    renderOne(run, fills, own, rendered);
    // The same process may be a control plane, and a signal ends it.
    if (done % AT_ONCE === AT_ONCE - 1) await wait(run, 0);
  }
  return rendered;
}

function usesCounter({ blocks, podNameFormat, podCount }: Registered): boolean {
  const texts = [...blocks.map(({ body }) => body), podNameFormat ?? "", podCount ?? ""];
  return texts.some((text) => text.includes("_ENUM_"));
}

function prepareAll(run: Run, registered: Registered): Fills {
  const one = (text: string | null, name: string): Fill | null =>
    text === null ? null : prepare(text, { name, line: 1 }, run);
  const { template: name } = registered;
  return {
    name: one(registered.nameFormat, "nameFormat"),
    blocks: registered.blocks.map((block) => {
      return { block, fill: prepare(block.body, { name, line: block.line }, run) };
    }),
    podName: one(registered.podNameFormat, "podNameFormat"),
    podCount: one(registered.podCount, "podCount"),
  };
}

function renderOne(run: Run, fills: Fills, own: Params, rendered: Rendered): void {
  const formed = fills.name === null ? null : fills.name(own).trim();
  if (formed === "") throw new TaskError("failed to generate object names: nameFormat is empty");
  const named: Params = formed === null ? own : { ...own, _NAME_: formed };
  const objects = fills.blocks.map(({ block, fill }, index) => {
    return readObject(run, fill(named), block, index);
  });
  rendered.objects.push(objects);
  // Without nameFormat the object's name is that of its first document.
  const full: Params = { ...named, _NAME_: formed ?? objects[0]?.name ?? "" };
  if (fills.podName !== null) rendered.podNames.push(unquote(fills.podName(full)));
  if (fills.podCount !== null) rendered.podCount += countOf(unquote(fills.podCount(full)));
  run.say("detail", `Rendered ${objects.map(({ name }) => name).join(", ")}`);
}

/** Quotes inside of quotes of YAML, as Go's program takes them off. */
const unquote = (text: string): string => text.trim().replace(/^"(.*)"$/s, "$1");

function countOf(text: string): number {
  try {
    return evaluateCount(text);
  } catch (cause) {
    if (!(cause instanceof TaskError)) throw cause;
    throw new TaskError(`failed to evaluate pod count ${text}: ${cause.message}`);
  }
}

const SUFFIX = "bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_CHARS = 5;
/** Where the API server cuts the start of a generated name (apiserver pkg/storage/names). */
const GENERATED_CHARS_MAX = 58;

/** As the API server draws it, but here: a request whose answer is lost can be repeated. */
export function drawName(generateName: string, random: () => number): string {
  const drawn = Array.from({ length: SUFFIX_CHARS }, () => {
    return SUFFIX[Math.floor(random() * SUFFIX.length)] ?? "b";
  });
  return `${generateName.slice(0, GENERATED_CHARS_MAX)}${drawn.join("")}`;
}

function readObject(run: Run, text: string, block: Block, index: number): Wanted {
  const { resource } = block;
  const fail = (why: string) =>
    new TaskError(`failed to read ${formatKind(resource)} of the template: ${why}`);
  // Values of labels and annotations need no quotes.
  const manifest = withTextLabels(read(text, fail));
  const apiVersion = `${resource.group === "" ? "" : `${resource.group}/`}${resource.version}`;
  if (manifest["apiVersion"] !== apiVersion || manifest["kind"] !== resource.kind) {
    const found = `${String(manifest["apiVersion"])} ${String(manifest["kind"])}`;
    throw fail(`it renders as ${found}`);
  }
  const metadata = manifest["metadata"] ?? {};
  if (!isMap(metadata)) throw fail("metadata is no map");
  const { name, generateName, namespace, ...others } = metadata;
  const given = textOf(name);
  const start = given === "" ? textOf(generateName) : "";
  if (given === "" && start === "") throw fail("metadata has neither name nor generateName");
  const own = given === "" ? drawName(start, run.random) : given;
  // As kubectl does without a namespace in the file or the context.
  const place = resource.isNamespaced ? textOf(namespace) || "default" : null;
  const placed = place === null ? {} : { namespace: place };
  return {
    block: index,
    resource,
    namespace: place,
    name: own,
    generateName: start === "" ? null : start,
    manifest: { ...manifest, metadata: { ...others, name: own, ...placed } },
  };
}

function read(text: string, fail: (why: string) => TaskError): Manifest {
  try {
    return readManifest(text);
  } catch (cause) {
    throw cause instanceof TaskError ? fail(cause.message) : cause;
  }
}

/** A name of digits alone is a number in YAML. */
const textOf = (value: unknown): string =>
  typeof value === "string" || typeof value === "number" ? String(value) : "";
