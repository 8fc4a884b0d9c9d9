"""Train a network with tensorpack on TensorFlow 1, through its SimpleTrainer.

tensorpack's own layers, trainer and hooks, TensorFlow's optimizer. A step is one call of the
trainer's hooked session, which returns when the update is done, with the loss and the logits.
Batches are fed by the trainer's FeedInput. Channels last, the only order that TensorFlow's
processor kernels have. Initial weights are Glorot uniform from `data`, restored as tensorpack
restores a model. Its import sets variables that change TensorFlow on a GPU
(TF_ENABLE_WINOGRAD_NONFUSED and others); its own session would ask for one thread an operation,
this one asks for what the job may use.

What the published comparison did: under `as-published` batches come through its QueueInput,
whose thread turns them into tensors while the steps go on, and a kernel may be updated before
its layer's gradients have all read it, as its trainers have it; `preprocess` divides by 255 in
the graph, as its script did.
"""

import bench
import networks
import sessions


def train(job):
    asked = sessions.ask(job, {"preprocess": True})
    as_published = job.settings.protocol == "as-published"
    with job.phase("import"):
        import tensorpack  # before TensorFlow, whose switches it sets
        import tensorflow
        import data
    sessions.greet(job, data, asked, "tensorpack", tensorpack.__version__)
    with job.phase("data"):
        batches = data.load(job.settings, asked.network, asked.batch, asked)
    with job.phase("build"):
        tensorflow.set_random_seed(job.settings.seed)
        flow = tensorpack.dataflow.DataFromList(batches, shuffle=False)
        source = (tensorpack.QueueInput if as_published else tensorpack.FeedInput)(flow)
        trainer, told, optimizer = build(tensorflow, tensorpack, asked, source, as_published)
        clearing = sessions.clear_accumulators(tensorflow, optimizer)
        config = sessions.configure(tensorflow, job.settings.threads)
        trainer.initialize(
            tensorpack.tfutils.sesscreate.NewSessionCreator(config=config),
            initial_values(tensorflow, tensorpack, data, asked, job.settings.seed),
        )
        trainer.sess.run(clearing)
        if as_published:
            with trainer.sess.as_default():
                source.thread.start()

    fetches = told + (trainer.train_op,)

    def step(_, labels):
        found = trainer.hooked_sess.run(fetches)  # the hooks feed the same batches in turn
        return sessions.Outcome(found[0], found[1], labels)

    shape = sessions.measure(job, asked, data, batches, step)
    trainer.hooked_sess.close()
    job.check("parameters", sessions.count_parameters(tensorflow))
    job.check("output_shape", list(shape))
    job.check("optimizer", sessions.describe_optimizer(asked, optimizer))


def build(tensorflow, tensorpack, asked, source, as_published):
    """Return the trainer with its graph, the tensors to fetch, and the optimizer."""
    shape = (asked.batch,) + asked.network.input_shape
    signature = [
        tensorflow.TensorSpec(shape, tensorflow.float32, "images"),
        tensorflow.TensorSpec((asked.batch,), tensorflow.int32, "labels"),
    ]
    told = []

    def tower(images, labels):
        if asked.preprocess:
            images = images / 255.0
        logits = build_logits(tensorflow, tensorpack, asked.network, images)
        losses = tensorflow.nn.sparse_softmax_cross_entropy_with_logits(
            labels=labels, logits=logits
        )
        loss = tensorflow.reduce_mean(losses)
        told.extend([loss, logits])
        if asked.metrics == "accuracy":
            told.append(sessions.accuracy(tensorflow, logits, labels))
        return loss

    optimizer = sessions.build_optimizer(tensorflow, asked)
    trainer = tensorpack.SimpleTrainer()
    # Its own default, False, lets a kernel be updated while the gradient of the layer before it
    # still reads it: losses then differ from launch to launch. True is what minimize() does.
    trainer.GATE_GRADIENTS = not as_published
    trainer.setup_graph(signature, source, tower, lambda: optimizer)
    # The running means of a batch normalisation are kept by this one; nothing is logged.
    trainer.setup_callbacks([tensorpack.RunUpdateOps()], [])
    return trainer, tuple(told), optimizer


def build_logits(tensorflow, tensorpack, network, tensor):
    """Return the logits; initial weights are tensorpack's own."""
    aside = []
    for place, (layer, _, _) in enumerate(networks.walk(network)):
        kind = layer[0]
        name = "%s-%d" % (kind, place)
        if kind == "convolution":
            tensor = tensorpack.Conv2D(name, tensor, layer[1], layer[2], padding=layer[3])
        elif kind == "strided-convolution":
            _, filters, size, stride, _, bias = layer
            tensor, padding = sessions.padded(tensorflow, tensor, layer)
            tensor = tensorpack.Conv2D(
                name, tensor, filters, size, strides=stride, padding=padding, use_bias=bias
            )
        elif kind == "batch-normalisation":
            epsilon = layer[1] if len(layer) > 1 else 1e-5
            tensor = tensorpack.BatchNorm(name, tensor, momentum=0.9, epsilon=epsilon)
        elif kind == "dense":
            tensor = tensorpack.FullyConnected(name, tensor, layer[1])
        elif kind == "relu":
            tensor = tensorflow.nn.relu(tensor)
        elif kind == "max-pooling":
            padding = sessions.pooling_padding(layer)
            tensor = tensorpack.MaxPooling(name, tensor, layer[1], padding=padding)
        elif kind == "strided-max-pooling":
            tensor, padding = sessions.padded(tensorflow, tensor, layer)
            _, size, stride, _ = layer
            tensor = tensorpack.MaxPooling(name, tensor, size, strides=stride, padding=padding)
        elif kind == "average-pooling":
            tensor = tensorpack.GlobalAvgPooling(name, tensor)
        elif kind == "dropout":
            tensor = tensorpack.Dropout(name, tensor, rate=layer[1])
        elif kind == "flatten":
            tensor = tensorflow.layers.flatten(tensor)
        elif kind == "fork":
            aside.append(tensor)
        elif kind == "swap":
            tensor, aside[-1] = aside[-1], tensor
        elif kind == "add":
            tensor = tensor + aside.pop()
        else:
            raise bench.Unsupported("layer %s" % kind)
    return tensor


def initial_values(tensorflow, tensorpack, data, asked, seed):
    """Return what tensorpack restores into the session that it has just initialised."""
    if asked.initial_weights == "library":
        return tensorpack.tfutils.sessinit.JustCurrentSession()
    kernels = data.initial_weights(networks.kernel_shapes(asked.network), seed)
    pairs = sessions.kernels_of(tensorflow, kernels)
    return tensorpack.tfutils.sessinit.DictRestore({v.name: array for v, array in pairs})


if __name__ == "__main__":
    bench.main(train)
