/**
 * Lists a whole collection in pages, so that neither side holds 150,000 pods as one text. Items are
 * each page reduced at once to the fields that are used.
 */
import type { KubeAnswer, KubeApi } from "./api.ts";
import { readObject } from "./read-field.ts";

type ListOptions<T> = {
  /** Of one page. */
  timeoutMs: number;
  signal?: AbortSignal;
  /** The fields of an item that are used; `null` leaves the item out. */
  read: (item: unknown) => T | null;
};

export type ListAnswer<T> =
  | { kind: "ok"; items: T[]; resourceVersion: string }
  | Exclude<KubeAnswer, { kind: "ok" }>;

/** As kubectl: some 5 MiB of pods, answered well within a second. */
const PAGE_ITEMS = 500;
/** A million objects; more means a faulty server. */
const PAGES_MAX = 2_000;

/**
 * All items at `path` (`/api/v1/pods`) and the resource version from which a watch continues. If a
 * page's continuation expires (410), it starts over once.
 */
export async function readList<T>(
  api: KubeApi,
  path: string,
  query: Readonly<Record<string, string>>,
  options: ListOptions<T>,
): Promise<ListAnswer<T>> {
  const first = await readPages(api, path, query, options);
  const expired = first.kind === "refused" && first.status === 410;
  return expired ? readPages(api, path, query, options) : first;
}

async function readPages<T>(
  api: KubeApi,
  path: string,
  query: Readonly<Record<string, string>>,
  { timeoutMs, signal, read }: ListOptions<T>,
): Promise<ListAnswer<T>> {
  const items: T[] = [];
  let after = "";
  for (let page = 0; page < PAGES_MAX; page += 1) {
    if (signal?.aborted) return { kind: "lost", message: "the list was cancelled" };
    const answer = await api.call({
      verb: "list",
      path,
      query: { ...query, limit: String(PAGE_ITEMS), ...(after === "" ? {} : { continue: after }) },
      timeoutMs,
      lane: "read",
    });
    if (answer.kind !== "ok") return answer;
    const body = readObject(answer.body);
    const metadata = readObject(body["metadata"]);
    const { resourceVersion, continue: next } = metadata;
    // `items` is `null` for an empty list of some extension servers.
    const listed = body["items"] ?? [];
    if (!Array.isArray(listed) || typeof resourceVersion !== "string") {
      return { kind: "lost", message: `${path}: the answer is no list` };
    }
    for (const item of listed) {
      const kept = read(item);
      if (kept !== null) items.push(kept);
    }
    if (typeof next !== "string" || next === "") return { kind: "ok", items, resourceVersion };
    after = next;
  }
  return { kind: "lost", message: `${path}: more than ${PAGES_MAX} pages` };
}
