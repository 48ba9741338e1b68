import { beforeEach, describe, expect, test } from 'vitest';
import { helloOf, RegistryRig } from './registry-rig.ts';

let rig: RegistryRig;

beforeEach(() => {
  rig = new RegistryRig();
});

describe('images to be joined ahead', () => {
  const ahead = (digit: string) => digit.repeat(40);
  const publish = (image: string, isPrejoined = true) =>
    rig.feed({ type: 'image-published', image, pieceCount: 1, kinds: [], isPrejoined }, 0);
  const told = (image: string, ...connections: number[]) =>
    ({ type: 'send', connections, message: { type: 'published', image } }) as const;

  test('are told of to every agent that said hello, once there is a source', () => {
    rig.greet(1, 'a');
    rig.connect(2);
    rig.greet(3, 'c');
    expect(publish(ahead('3'))).toEqual([]);
    const seeded = { type: 'image-seeded', image: ahead('3') } as const;
    expect(rig.feed(seeded, 0)).toEqual([told(ahead('3'), 1, 3)]);
    rig.disconnect(1);
    rig.disconnect(3);
    expect(rig.feed(seeded, 0)).toEqual([]);
  });

  test('are told of after the welcome, the newest first, and no more than an agent takes', () => {
    rig = new RegistryRig({ prejoinsPerAgentMax: 2 });
    for (const digit of ['3', '4', '5']) publish(ahead(digit));
    rig.connect(1);
    const [welcome, ...more] = rig.say(1, helloOf('a'));
    expect(welcome).toMatchObject({ message: { type: 'welcome' } });
    expect(more).toEqual([told(ahead('5'), 1), told(ahead('4'), 1)]);
  });

  test('are not told of when the publisher does not wish it, or when they are withdrawn', () => {
    rig.greet(1, 'a');
    publish(ahead('3'), false);
    publish(ahead('4'));
    rig.feed({ type: 'image-withdrawn', image: ahead('4') }, 0);
    for (const image of [ahead('3'), ahead('4'), ahead('5')]) {
      expect(rig.feed({ type: 'image-seeded', image }, 0)).toEqual([]);
    }
    rig.connect(2);
    expect(rig.say(2, helloOf('b'))).toHaveLength(1);
  });
});
