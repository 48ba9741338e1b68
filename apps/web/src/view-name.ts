/** Which view the address names: the part after `#`, so that views can be linked to and the tracker needs no route for each. */

export const VIEWS = ['storm', 'images', 'nodes', 'prefetch', 'alarms'] as const;
export type ViewName = (typeof VIEWS)[number];

/** `#/nodes` → nodes; anything else is the storm. */
export function viewOf(hash: string): ViewName {
  return VIEWS.find((name) => hash === `#/${name}`) ?? 'storm';
}
