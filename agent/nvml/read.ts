/**
 * Reads values of one GPU through out-parameters. The code of a failed call goes to `rc` if it is a
 * GPU fault, else to `unread`; a lost GPU is not called again in the same round.
 */
import type { Bound, Symbol } from "./bind.ts";
import type { Layout } from "./layout.ts";
import { flagOf } from "./plausible.ts";
import { type FieldAnswer, type FieldQuery, numberOf, parseFields, encodeFields } from "./field.ts";
import {
  GPU_IS_LOST,
  INSUFFICIENT_SIZE,
  NOT_SUPPORTED,
  SUCCESS,
  isDenial,
  isGpuCode,
  isUnsupported,
  wantsInit,
  worseCode,
} from "./return-code.ts";

/** A call for a number, with its arguments between handle and out-parameter. */
export type Way = { name: Symbol; args?: readonly number[]; wide?: boolean };

/** Shared out-parameters: a probe child makes one call at a time. */
const words = new Uint32Array(8);
const wide = new BigUint64Array(8);
const wordAt = [0, 1, 2, 3].map((i) => words.subarray(i, i + 1));

export class GpuReader {
  /** Worst GPU fault of this round, 0 if none. */
  rc = SUCCESS;
  /** A code that requires a new init of the library; 0 if none. */
  initRc = SUCCESS;
  readonly unread: Record<string, number> = {};
  readonly #bound: Bound;
  readonly #handle: bigint;

  constructor(bound: Bound, handle: bigint) {
    this.#bound = bound;
    this.#handle = handle;
  }

  /** True if the GPU is lost or the library needs a new init. */
  get over(): boolean {
    return this.rc === GPU_IS_LOST || this.initRc !== SUCCESS;
  }

  /** True if the call succeeded; a failure is recorded under `name`. */
  ask(name: Symbol, ...args: (number | NodeJS.TypedArray)[]): boolean {
    if (this.over) return false;
    return this.#judge(name, this.#bound.call(name, this.#handle, ...args));
  }

  #judge(name: string, code: number): boolean {
    if (code === SUCCESS) return true;
    if (wantsInit(code)) this.initRc = code;
    if (isGpuCode(code)) this.rc = worseCode(this.rc, code);
    else this.unread[name] = code;
    return false;
  }

  /** The value of the first call that is supported; a failure is recorded under the first name. */
  number(...ways: readonly Way[]): number | null {
    let last = NOT_SUPPORTED;
    for (const way of ways) {
      if (this.over) return null;
      const out = way.wide === true ? wide : words;
      last = this.#bound.call(way.name, this.#handle, ...(way.args ?? []), out);
      if (last === SUCCESS) return way.wide === true ? numberOf(wide[0] ?? 0n) : (words[0] ?? null);
      if (!isUnsupported(last)) break;
    }
    const first = ways[0];
    if (first !== undefined) this.#judge(first.name, last);
    return null;
  }

  /** Up to four 32-bit out-parameters of one call. */
  numbers(name: Symbol, count: 1 | 2 | 3 | 4): number[] | null {
    if (!this.ask(name, ...wordAt.slice(0, count))) return null;
    return [...words.subarray(0, count)];
  }

  flag(name: Symbol): boolean | null {
    return flagOf(this.number({ name }));
  }

  /** The length of a list: called without a buffer, NVML returns 7 and writes the count. */
  count(name: Symbol): number | null {
    if (this.over) return null;
    words[0] = 0;
    const code = this.#bound.call(name, this.#handle, words, null);
    if (code === INSUFFICIENT_SIZE || this.#judge(name, code)) return words[0] ?? null;
    return null;
  }

  /** A string that ends in NUL; `bytes` is the buffer's size. */
  text(name: Symbol, bytes: number): string | null {
    const buffer = Buffer.alloc(bytes);
    return this.ask(name, buffer, bytes) ? formatText(buffer) : null;
  }

  /** A struct that the call fills in. */
  struct(name: Symbol, { bytes, word }: Layout): DataView | null {
    const buffer = new Uint8Array(bytes);
    const view = new DataView(buffer.buffer);
    view.setUint32(0, word, true);
    return this.ask(name, buffer) ? view : null;
  }

  /** A batch that is denied as a whole is denied for each entry; any other failure gives none. */
  fields(queries: readonly FieldQuery[]): FieldAnswer[] {
    const bytes = encodeFields(queries);
    const name = "nvmlDeviceGetFieldValues";
    if (this.ask(name, queries.length, bytes)) return parseFields(bytes);
    const code = this.unread[name] ?? NOT_SUPPORTED;
    return queries.map(() => ({ code: isDenial(code) ? code : NOT_SUPPORTED, value: null }));
  }

  /** The value of a field; a failure is recorded as `field.<id>`. */
  field(answer: FieldAnswer | undefined, id: number): number | null {
    if (answer === undefined || this.over) return null;
    this.#judge(`field.${id}`, answer.code);
    return answer.value;
  }
}

/** Text up to the first NUL. */
export function formatText(buffer: Buffer): string {
  const end = buffer.indexOf(0);
  return buffer.toString("utf8", 0, end < 0 ? buffer.length : end);
}
