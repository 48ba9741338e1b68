/** What a socket holder and its agents tell each other, over the channel that Node gives a child process. */

export type ToAgent =
  /** The one before is gone, or there was none (`isFirst`): open the cache, listen on the sockets. */
  | { readonly type: 'serve'; readonly isFirst: boolean }
  /** The answer to `upgrade`: the next agent has loaded its code, so this one may end. */
  | { readonly type: 'successor-loaded' }
  /** Who takes over when this one is gone, for people who ask; none: nobody has loaded yet. */
  | { readonly type: 'successor'; readonly pid: number | null }
  | { readonly type: 'upgrade-failed'; readonly reason: string };

export type ToHolder =
  | { readonly type: 'loaded' }
  | { readonly type: 'serving' }
  /** Asks for a successor whose code is what is on the disk now. */
  | { readonly type: 'upgrade' };
