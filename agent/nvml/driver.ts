/**
 * Drives the library: initialises it with back-off, enumerates the GPUs, and reads each on its own,
 * so that a dead GPU does not affect others. Results are plain data.
 */
import type { Bound } from "./bind.ts";
import {
  type DeviceIdentity,
  formatUnknownUuid,
  readCheck,
  readIdentity,
  readSample,
} from "./device.ts";
import { type EventSource, openEvents } from "./event.ts";
import { EXCLUDED, PCI_INFO } from "./layout.ts";
import { hasLinksOff } from "./module.ts";
import { GpuReader, formatText } from "./read.ts";
import type {
  NvmlCheck,
  NvmlEvent,
  NvmlFailure,
  NvmlGpuCheck,
  NvmlSample,
} from "../port/reading.ts";
import {
  GPU_IS_LOST,
  INVALID_ARGUMENT,
  NO_PERMISSION,
  RESET_REQUIRED,
  SUCCESS,
  UNKNOWN,
  failureOf,
  isDenial,
  isGpuCode,
  isPassing,
  wantsInit,
} from "./return-code.ts";

export type Reading<T> = { kind: "ok"; value: T } | { kind: "failed"; failure: NvmlFailure };

/** Called before each GPU is opened or read. */
export type Step = (opening: boolean) => void;

/** `handle` is `null` while the GPU cannot be opened; the identity outlives the handle. */
type Device = {
  index: number;
  handle: bigint | null;
  identity: DeviceIdentity | null;
  rc: number;
  /** Return code of the last attempt to open it. */
  openCode: number;
};

/** Init takes seconds on some machines: from half a sample period up to one check period. */
const BACKOFF_FIRST_MS = 5_000;
const BACKOFF_MAX_MS = 60_000;

/** Init without attaching GPUs: a dead one must not fail it (docs/reference/nvml.md#functions). */
const NO_ATTACH = 2;

/** Bounds the count of a broken library. */
const GPUS_MAX = 64;

export class NvmlDriver {
  readonly #bound: Bound;
  readonly #monoMs: () => number;
  readonly #wallMs: () => number;
  #ready = false;
  #failure: NvmlFailure | null = null;
  #backoffMs = 0;
  #notBeforeMs = 0;
  #devices: Device[] = [];
  /** GPUs that this process may not open. */
  #denied = 0;
  #events: EventSource | null = null;
  #eventsStale = true;
  readonly #step: Step;

  constructor(bound: Bound, monoMs: () => number, wallMs: () => number, step: Step = () => {}) {
    this.#step = step;
    this.#bound = bound;
    this.#monoMs = monoMs;
    this.#wallMs = wallMs;
  }

  /** Reads power, which is never cached, to prove that each GPU responds. */
  ping(): Reading<null> {
    const words = new Uint32Array(1);
    for (const { handle } of this.#devices) {
      if (handle !== null) this.#bound.call("nvmlDeviceGetPowerUsage", handle, words);
    }
    return { kind: "ok", value: null };
  }

  sample(): Reading<NvmlSample> {
    return this.#round(readSample, (gpus) => ({ gpus }));
  }

  check(): Reading<NvmlCheck> {
    const answer = this.#round(readCheck, (gpus) => this.#node(gpus));
    this.#renewEvents(answer.kind === "ok");
    return answer;
  }

  /** Events since the last poll; returns within milliseconds unless the driver hangs. */
  events(): NvmlEvent[] {
    return this.#events?.poll() ?? [];
  }

  #node(gpus: NvmlGpuCheck[]): NvmlCheck {
    const words = new Uint32Array(1);
    const hasCuda = this.#bound.call("nvmlSystemGetCudaDriverVersion_v2", words) === SUCCESS;
    const cuda = words[0] ?? 0;
    const hasExcluded = this.#bound.call("nvmlGetExcludedDeviceCount", words) === SUCCESS;
    const found = hasExcluded ? (words[0] ?? 0) : 0;
    // A count that cannot be true would explain any GPU that is missing.
    const excluded = found <= GPUS_MAX ? found : 0;
    const excludedPci = this.#excludedPci(excluded);
    return {
      driverVersion: this.#text("nvmlSystemGetDriverVersion"),
      nvmlVersion: this.#text("nvmlSystemGetNVMLVersion"),
      // 12040 means 12.4.
      cudaVersion: hasCuda ? [Math.floor(cuda / 1_000), (cuda % 1_000) / 10].join(".") : null,
      count: this.#devices.length,
      excluded,
      ...(excludedPci === null ? {} : { excludedPci }),
      denied: this.#denied,
      gpus,
      ...(hasLinksOff() ? { linksOff: true } : {}),
      missing: [...this.#bound.missing],
    };
  }

  /** Addresses of the GPUs excluded from the driver; `null` if one is unknown. */
  #excludedPci(count: number): string[] | null {
    const info = Buffer.alloc(EXCLUDED.bytes);
    const found: string[] = [];
    for (let index = 0; index < Math.min(count, GPUS_MAX); index++) {
      const code = this.#bound.call("nvmlGetExcludedDeviceInfoByIndex", index, info);
      if (code !== SUCCESS) return null;
      const { at, bytes } = PCI_INFO.fields.busId;
      const from = EXCLUDED.fields.pci.at + at;
      found.push(formatText(info.subarray(from, from + bytes)));
    }
    return found;
  }

  #text(name: "nvmlSystemGetDriverVersion" | "nvmlSystemGetNVMLVersion"): string | null {
    const buffer = Buffer.alloc(80);
    return this.#bound.call(name, buffer, 80) === SUCCESS ? formatText(buffer) : null;
  }

  /** One pass over all GPUs; a code that requires a new init ends it. */
  #round<G, T>(
    read: (reader: GpuReader, identity: DeviceIdentity) => G & { rc: number; openCode: number },
    build: (gpus: G[]) => T,
  ): Reading<T> {
    const failure = this.#init() ?? this.#enumerate();
    if (failure !== null) return { kind: "failed", failure };
    const gpus: G[] = [];
    for (const device of this.#devices) {
      if (device.rc === NO_PERMISSION) continue;
      this.#step(false);
      const identity = device.identity ?? unknownIdentity(device.index);
      const reader = new GpuReader(this.#bound, device.handle ?? 0n);
      // Without a handle no call is made: a lost reader answers `null`.
      reader.rc = device.handle === null ? GPU_IS_LOST : device.rc;
      const gpu = read(reader, identity);
      const { rc, openCode } = device;
      gpus.push(device.handle === null ? { ...gpu, rc, openCode } : gpu);
      if (reader.initRc !== SUCCESS) return { kind: "failed", failure: this.#drop(reader.initRc) };
      // The next round opens a lost GPU again.
      if (reader.rc === GPU_IS_LOST || reader.rc === RESET_REQUIRED) device.handle = null;
      // An error that may pass, seen only while reading identity, is not reported again.
      if (isPassing(device.rc)) device.handle = null;
    }
    return { kind: "ok", value: build(gpus) };
  }

  /** Initialises the library if needed and if the back-off allows. */
  #init(): NvmlFailure | null {
    if (this.#ready) return null;
    if (this.#failure !== null && this.#monoMs() < this.#notBeforeMs) return this.#failure;
    let code = this.#bound.call("nvmlInitWithFlags", NO_ATTACH);
    // 13: the symbol is missing; 2: this library does not know the flag.
    if (code === 13 || code === INVALID_ARGUMENT) code = this.#bound.call("nvmlInit_v2");
    if (code !== SUCCESS) return this.#postpone(failureOf(code, "nvmlInit"));
    this.#ready = true;
    this.#failure = null;
    return null;
  }

  #postpone(failure: NvmlFailure): NvmlFailure {
    this.#backoffMs = Math.min(BACKOFF_MAX_MS, this.#backoffMs * 2 || BACKOFF_FIRST_MS);
    this.#notBeforeMs = this.#monoMs() + this.#backoffMs;
    this.#failure = failure;
    return failure;
  }

  /** Releases everything after a code that requires a new init. */
  #drop(code: number): NvmlFailure {
    this.#events?.close();
    this.#events = null;
    this.#devices = [];
    this.#ready = false;
    this.#bound.call("nvmlShutdown");
    return this.#postpone(failureOf(code, "NVML"));
  }

  /** Finds the GPUs; keeps handles that are good, and identities of GPUs that are not. */
  #enumerate(): NvmlFailure | null {
    const words = new Uint32Array(1);
    const code = this.#bound.call("nvmlDeviceGetCount_v2", words);
    if (wantsInit(code)) return this.#drop(code);
    if (code !== SUCCESS) return failureOf(code, "nvmlDeviceGetCount");
    const count = Math.min(words[0] ?? 0, GPUS_MAX);
    // Indices shift when a GPU leaves.
    if (count !== this.#devices.length) {
      this.#devices = Array.from({ length: count }, (_, index) => blankDevice(index));
      this.#eventsStale = true;
    }
    for (const device of this.#devices) {
      if (device.handle === null) {
        this.#step(true);
        this.#open(device);
      }
      if (wantsInit(device.rc)) return this.#drop(device.rc);
    }
    this.#denied = this.#devices.filter((device) => device.rc === NO_PERMISSION).length;
    // All denied: wrong container or permissions. Some denied: those GPUs are faulty.
    if (count > 0 && this.#devices.every(isRefused)) {
      return failureOf(NO_PERMISSION, "nvmlDeviceGetHandleByIndex");
    }
    this.#backoffMs = 0;
    return null;
  }

  #open(device: Device): void {
    const out = new BigUint64Array(1);
    const code = this.#bound.call("nvmlDeviceGetHandleByIndex_v2", device.index, out);
    device.rc = code;
    device.openCode = code;
    if (code !== SUCCESS) {
      if (code !== NO_PERMISSION && !wantsInit(code) && !isGpuCode(code)) device.rc = UNKNOWN;
      return;
    }
    const handle = out[0] ?? 0n;
    const reader = new GpuReader(this.#bound, handle);
    const identity = readIdentity(reader, device.index);
    device.rc = reader.initRc || reader.rc;
    const named = identity.uuid !== formatUnknownUuid(device.index);
    // A GPU that fails while its identity is read keeps the earlier one.
    if (named && (device.rc === SUCCESS || device.identity === null)) device.identity = identity;
    // A mild fault, such as a corrupted infoROM, does not stop the readings.
    if (!named || reader.over) {
      device.openCode = device.rc || (reader.unread["nvmlDeviceGetUUID"] ?? UNKNOWN);
      if (device.rc === SUCCESS) device.rc = UNKNOWN;
      return;
    }
    device.handle = handle;
    this.#eventsStale = true;
  }

  #renewEvents(ok: boolean): void {
    if (!ok || (!this.#eventsStale && this.#events !== null)) return;
    this.#events?.close();
    const uuidOf = new Map<bigint, string>();
    for (const { handle, identity } of this.#devices) {
      if (handle !== null && identity !== null) uuidOf.set(handle, identity.uuid);
    }
    this.#events = uuidOf.size === 0 ? null : openEvents(this.#bound, uuidOf, this.#wallMs);
    this.#eventsStale = false;
  }
}

function blankDevice(index: number): Device {
  return { index, handle: null, identity: null, rc: SUCCESS, openCode: SUCCESS };
}

function isRefused({ handle, openCode }: Device): boolean {
  return handle === null && isDenial(openCode);
}

function unknownIdentity(index: number): DeviceIdentity {
  return {
    index,
    uuid: formatUnknownUuid(index),
    name: "NVIDIA GPU",
    serial: null,
    pciBusId: "",
    architecture: null,
    slowdownCelsius: null,
    shutdownCelsius: null,
    memoryMaxCelsius: null,
    pcieGenerationMax: null,
    pcieWidthMax: null,
  };
}
