// Stands in for fuse-native's addon and libfuse: calls the callbacks as libfuse would, and gathers what they answer.
// An answer that comes twice, or that the addon could not take, is an error.

import { type Binding, type NativeHandler, OPERATIONS } from '../../src/fuse/drivers/fuse-native/binding.ts';

export interface Answered {
  result: number;
  extras: unknown[];
}

/** Callbacks whose answer has so many values beside the result. */
const EXTRAS: Readonly<Record<string, number>> = {
  ...{ getattr: 1, fgetattr: 1, statfs: 1, readlink: 1, open: 1, opendir: 1, create: 1, setxattr: 1, getxattr: 1 },
  ...{ listxattr: 1, read: 2, write: 2, readdir: 2 },
};

export class FakeNative {
  readonly binding: Binding;
  options = '';
  unmounted = 0;
  #handlers: readonly NativeHandler[] = [];
  readonly #waiting = new Map<Buffer, (answer: Answered) => void>();

  constructor() {
    const binding: Record<string, unknown> = {
      sizeof_fuse_thread_t: 64,
      fuse_native_mount: (
        _mountpoint: string,
        options: string,
        _thread: Buffer,
        _self: object,
        _allocate: unknown,
        handlers: readonly NativeHandler[],
      ) => {
        this.options = options;
        this.#handlers = handlers;
        const native = Buffer.alloc(8);
        this.#waiting.set(native, () => {});
        queueMicrotask(() => this.#call('init', native));
      },
      fuse_native_unmount: () => {
        this.unmounted++;
      },
    };
    for (const [at, name] of OPERATIONS.entries()) {
      binding[`op_${name}`] = at === 0 ? 0 : at + 1;
      binding[`fuse_native_signal_${name}`] = (native: Buffer, result: number, ...extras: unknown[]) => {
        const resolve = this.#waiting.get(native);
        if (resolve === undefined) throw new Error(`${name} was answered twice`);
        this.#waiting.delete(native);
        if (!Number.isInteger(result)) throw new Error(`${name}: the result is ${result}`);
        if (extras.length !== (EXTRAS[name] ?? 0)) throw new Error(`${name}: answered with ${extras.length} values`);
        if (extras.includes(undefined)) throw new Error(`${name}: answered with undefined`);
        resolve({ result, extras });
      };
    }
    this.binding = binding as unknown as Binding;
  }

  #call(name: string, native: Buffer, ...args: unknown[]): void {
    const op = this.binding[`op_${name}`] as number;
    this.#handlers[op]?.(native, op, ...args);
  }

  /** Callbacks without an answer. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** `native`: where a thread of libfuse keeps the call. */
  call(name: string, args: unknown[], native = Buffer.alloc(360)): Promise<Answered> {
    return new Promise((resolve) => {
      this.#waiting.set(native, resolve);
      this.#call(name, native, ...args);
    });
  }
}
